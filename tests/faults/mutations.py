"""What the fuzzer changes: bytes of any file, with an eye for the fields of its format, and cells of a table.

Strategies of Hypothesis draw lists of small edits, plain tuples, so that an example prints as what it does; `edited`
and `table_bytes` apply them.
"""

import csv
import io

from hypothesis import strategies as st

SCALE = 2**20  # a place in a file is a share of its length
NUMBERS = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
LONGEST_RUN = 4000

# Cells that have gone wrong in some program before; those of a list are drawn as often as all of the rest.
NUMBER_LIKE = (
    "", "0", "-1", "1", "5", "007", "+3", "5.0", "5.5", "1e2", "1e309", "-0", "nan", "NaN", "inf", "-inf", "1_000",
    "0x10", "1,5", "1 000", " 5", "5 ", "5\t", "\u0665", "\uff15", "\u00b2", "\u2212" + "3", "9" * 30, "9" * 400,
    "9007199254740993", "1e15", "0.1", "1e-320", "5e-1", "2147483648", "True", "None", "NULL", "5f", "1/2", "(5)",
)  # fmt: skip
TEXT_LIKE = (
    "a", "A", "anna", "../up", "/etc/passwd", "a/b", "a\\b", ".", "..", "~", "C:\\x", "=1+1", "+cmd|'x'!A0", "@x", "-x",
    '"', '""', "'", ",", ";", "\n", "\r", "a\nb", "\x00", "\x1b[31m", "\u200b", "\ufeff", "\u202eabc", "é", "e\u0301",
    "\U0001f600", "\ud7ff", "x" * 300, "macro", "micro", "annotated", "#", "video_id", "onset", "onset_s", "subject",
    "happiness", "Happiness", "happiness ", "train", "predict", "false", "kept", "CON", "-", "--help", "%s",
)  # fmt: skip
cells = st.one_of(st.sampled_from(NUMBER_LIKE), st.sampled_from(TEXT_LIKE), st.text(max_size=8), st.integers().map(str))
places = st.integers(0, SCALE - 1)


def mostly(common, rare, times=5):
    """`common`, but once in so many `times` `rare`; Hypothesis itself takes equal shares of different strategies."""
    return st.sampled_from([common] * (times - 1) + [rare]).flatmap(lambda chosen: chosen)


def byte_edits(markers=(), min_size=1, max_size=5):
    """Lists of edits; `markers` are byte strings after which the fields of the format stand."""
    number = st.sampled_from(NUMBERS)
    width, order = st.sampled_from((1, 2, 4, 8)), st.sampled_from(("big", "little"))
    kinds = [
        st.tuples(st.just("flip"), places, st.integers(0, 7)),
        st.tuples(st.just("flip early"), st.integers(0, 400), st.integers(0, 7)),
        st.tuples(st.just("number"), places, number, width, order),
        st.tuples(st.just("number early"), st.integers(0, 400), number, width, order),
        st.tuples(st.just("noise"), places, st.binary(min_size=1, max_size=64)),
        st.tuples(st.just("zeros"), places, st.integers(1, LONGEST_RUN)),
        st.tuples(st.just("cut out"), places, st.integers(1, LONGEST_RUN)),
        st.tuples(st.just("copy"), places, places, st.integers(1, LONGEST_RUN)),
        st.tuples(st.just("insert"), places, st.binary(min_size=1, max_size=64)),
        st.tuples(st.just("cut short"), places),
    ]
    if markers:
        at = st.tuples(st.sampled_from(markers), st.integers(0, 5), st.integers(-8, 64))
        kinds += [
            st.tuples(st.just("field"), at, number, width, order),
            st.tuples(st.just("shift"), at, st.integers(-3, 3)),
        ]
        kinds += [st.tuples(st.just("field flip"), at, st.integers(0, 7))] * 2
    return st.lists(st.one_of(kinds), min_size=min_size, max_size=max_size)


def edited(data, edits):
    """`data` with `edits` of `byte_edits` applied, in their order."""
    data = bytearray(data)
    for kind, *values in edits:
        _EDITS[kind](data, *values)
    return bytes(data)


def _place(data, share):
    return share * len(data) // SCALE


def _flip(data, place, bit):
    if 0 <= place < len(data):
        data[place] ^= 1 << bit


def _number(data, place, number, width, order):
    if 0 <= place <= len(data) - width:
        data[place : place + width] = (number % 256**width).to_bytes(width, order)


def _noise(data, share, noise):
    place = _place(data, share)
    data[place : place + len(noise)] = noise[: len(data) - place]


def _zeros(data, share, n):
    place = _place(data, share)
    n = min(n, len(data) - place)
    data[place : place + n] = bytes(n)


def _cut_out(data, share, n):
    place = _place(data, share)
    del data[place : place + n]


def _copy(data, source, target, n):
    run = bytes(data[_place(data, source) :][:n])
    place = _place(data, target)
    data[place : place + len(run)] = run[: len(data) - place]


def _insert(data, share, noise):
    data[_place(data, share) : _place(data, share)] = noise


def _cut_short(data, share):
    del data[_place(data, share) :]


def _at(data, at):
    """Place some bytes after the n-th occurrence of a marker (after the last one if there are fewer), or -1."""
    marker, n, offset = at
    found = place = data.find(marker)
    while n and place >= 0:
        found, n = place, n - 1
        place = data.find(marker, place + 1)
    found = place if place >= 0 else found
    return -1 if found < 0 else found + len(marker) + offset


def _shift(data, at, change):
    place = _at(data, at)
    if 0 <= place < len(data):
        data[place] = (data[place] + change) % 256


_EDITS = {
    "flip": lambda data, share, bit: _flip(data, _place(data, share), bit),
    "flip early": _flip,
    "number": lambda data, share, *rest: _number(data, _place(data, share), *rest),
    "number early": _number,
    "noise": _noise,
    "zeros": _zeros,
    "cut out": _cut_out,
    "copy": _copy,
    "insert": _insert,
    "cut short": _cut_short,
    "field": lambda data, at, *rest: _number(data, _at(data, at), *rest),
    "field flip": lambda data, at, bit: _flip(data, _at(data, at), bit),
    "shift": _shift,
}


def table_edits(words=(), max_size=2):
    """Lists of edits of a table's cells, rows and columns; `words`: cells that mean something in this table."""
    row, column = st.integers(0, 40), st.integers(0, 200)
    cell = st.one_of(cells, st.sampled_from(words)) if words else cells
    kinds = [
        st.tuples(st.just("cell"), row, column, cell),
        st.tuples(st.just("copy cell"), row, column, row, column),
        st.tuples(st.just("drop row"), row),
        st.tuples(st.just("repeat row"), row),
        st.tuples(st.just("swap rows"), row, row),
        st.tuples(st.just("blank row"), row),
        st.tuples(st.just("add cell"), row, cell),
        st.tuples(st.just("drop cell"), row, column),
        st.tuples(st.just("drop column"), column),
        st.tuples(st.just("swap columns"), column, column),
        st.tuples(st.just("add column"), cell, cell),
        st.tuples(st.just("name"), column, cell),
    ]
    one = mostly(kinds[0], st.one_of(kinds), 2)
    return mostly(one.map(lambda edit: [edit]), st.lists(one, max_size=max_size), 3)


def edited_rows(rows, edits):
    """Rows of cells with `edits` of `table_edits` applied; the first row is the header."""
    rows = [list(row) for row in rows]
    for kind, *values in edits:
        if rows:
            _TABLE_EDITS[kind](rows, *values)
    return rows


def _set_cell(rows, row, column, cell):
    row = rows[row % len(rows)]
    if row:
        row[column % len(row)] = cell


def _copy_cell(rows, row, column, other_row, other_column):
    source = rows[row % len(rows)]
    if source:
        _set_cell(rows, other_row, other_column, source[column % len(source)])


def _swap_rows(rows, row, other):
    row, other = row % len(rows), other % len(rows)
    rows[row], rows[other] = rows[other], rows[row]


def _drop_cell(rows, row, column):
    row = rows[row % len(rows)]
    if row:
        del row[column % len(row)]


def _drop_column(rows, column):
    column %= max(1, len(rows[0]))
    for row in rows:
        del row[column : column + 1]


def _swap_columns(rows, column, other):
    for row in rows:
        if row:
            i, j = column % len(row), other % len(row)
            row[i], row[j] = row[j], row[i]


def _add_column(rows, name, cell):
    for i, row in enumerate(rows):
        row.append(cell if i else name)


_TABLE_EDITS = {
    "cell": _set_cell,
    "copy cell": _copy_cell,
    "drop row": lambda rows, row: rows.pop(row % len(rows)),
    "repeat row": lambda rows, row: rows.append(list(rows[row % len(rows)])),
    "swap rows": _swap_rows,
    "blank row": lambda rows, row: rows.insert(row % len(rows), [""] * len(rows[0])),
    "add cell": lambda rows, row, cell: rows[row % len(rows)].append(cell),
    "drop cell": _drop_cell,
    "drop column": _drop_column,
    "swap columns": _swap_columns,
    "add column": _add_column,
    "name": lambda rows, column, cell: _set_cell(rows, 0, column, cell),
}

# How a table becomes bytes: most often as it should be.
GOOD = ("utf-8", "\n", ",", True)
renderings = mostly(
    st.just(GOOD),
    st.tuples(
        st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-32")),
        st.sampled_from(("\n", "\r\n", "\r", "\n\n", " \n", "")),
        st.sampled_from((",", ",", ",", ";", "\t", ", ", "|")),
        st.booleans(),
    ),
    8,
)


def csv_examples(words=()):
    """Examples of a table: edits of its cells, how it is written, edits of the bytes (most often none)."""
    raw = mostly(st.just([]), byte_edits(max_size=2), 8)
    return st.tuples(table_edits(words), renderings, raw)


def table_bytes(rows, example):
    """The bytes of a CSV made from `rows` by an example of `csv_examples`."""
    edits, (encoding, line_end, separator, quoted), raw = example
    rows = edited_rows(rows, edits)
    if quoted and len(separator) == 1:
        text = io.StringIO()
        csv.writer(text, delimiter=separator, lineterminator=line_end).writerows(rows)
        text = text.getvalue()
    else:
        text = "".join(separator.join(map(str, row)) + line_end for row in rows)
    return edited(text.encode(encoding, errors="replace"), raw)
