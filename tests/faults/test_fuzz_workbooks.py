"""Mutated workbooks of the releases: cells of every kind, damaged parts of an .xlsx, damaged bytes of an .xls."""

import io
import json
import zipfile

import pytest
from fuzzing import Child, check_mutated
from hypothesis import strategies as st
from miniature.books import write_xls, write_xlsx
from mutations import byte_edits, cells, edited, edited_rows, mostly, table_edits

CASME2 = [
    [1, "anger1_1", 10, 20, 30, "4", "negative", "macro-expression", "anger"],
    [2, "happy1_1", 10, 20, 30, "12", "positive", "macro-expression", "happiness"],
    [1, "anger1_2", 101, 105, 0, "4", "others", "micro-expression", "fear"],
    [3, "disgust1_1", 51, 0, 80, "9", "surprise", "macro-expression", "happyiness"],
]
CASME2_RULES = {
    "naming rule1": [[15, "s15", 1], [16, "s16", 2], [19, "s19", 3]],
    "naming rule2": [[401, "anger1"], [502, "happy1"], [101, "disgust1"]],
}
CASME3_HEADER = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Expression type", "Objective class"]
CASME3 = [
    ["spNO.1", "a", 10, 20, 30, "AU12", "Macro-expression", 1],
    ["spNO.1", "J", 40, 50, 0, "AU4", "Macro-expression", 1],
    ["spNO.2", "b", 100, 120, 140, "AU12", "Macro-expression", 2],
    ["spNO.2", "b", 200, 205, 210, "AU12", "Micro-expression", 2],
]
EMOTIONS_HEADER = ["sub", "seq", "onset", "apex", "offset", "AU", "emotion"]
EMOTIONS = [[*row[:6], word] for row, word in zip(CASME3, ("happy", "sad", "anger", "fear"), strict=True)]
SAMM_HEADER = ["Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type", "Notes"]
SAMM = [
    [6, "006_1_1", 1, 10, 20, 130, 121, "Macro", None],
    [6, "006_1_2", 1, 200, 210, 260, 61, "Micro - 1/2", None],
    [7, "007_2_1", 2, 0, 20, 930, 931, "Macro", None],
    [7, "007_2_2", 2, 1000, 1020, 1300, 301, "Macro", "x"],
]
# Name -> sheet of annotations with its header, other sheets, the workbook's name, the columns that are compared.
RELEASES = {
    "casme2": (
        CASME2, CASME2_RULES, "CAS(ME)^2code_final.xlsx", {"onset": 2, "offset": 4, "type": 7, "first": 1},
    ),
    "casme3": (
        [CASME3_HEADER, *CASME3], {}, "CAS(ME)3_part_A_v2.xls", {"onset": 2, "offset": 4, "type": 6, "first": 0},
    ),
    "samm": (
        [["SAMM Long Videos"], [None], SAMM_HEADER, *SAMM], {}, "SAMM_LongVideos_V3_Release.xlsx",
        {"onset": 3, "offset": 5, "type": 7, "first": 1},
    ),
}  # fmt: skip
SHEET = "annotations"
OF_CELLS = {"cell", "copy cell", "drop row", "repeat row", "swap rows", "blank row"}
MARKERS_XLSX = (
    b"<c ",
    b"r=",
    b"<row",
    b"t=",
    b"<v>",
    b"<f",
    b"<si",
    b"sheetId",
    b"r:id",
    b"Target",
    b"dimension",
    b"PK",
)
MARKERS_XLS = (
    b"\xd0\xcf\x11\xe0",
    b"W\x00o\x00r\x00k",
    b"\x09\x08\x10\x00",
    b"\xfd\x00\x0a\x00",
    b"\x03\x02\x0e\x00",
    b"\xfc\x00",
    b"\x85\x00",
)
WORDS = (
    1, 2, 10, 0, -5, 12.5, 1e9, 1e300, True, None, "macro-expression", "Micro - 1/2", "macro", "anger1_1", "spNO.1",
    "a", "006_1_1", "happy", "=1+1", "12 or 13", "negative",
)  # fmt: skip
FORBIDDEN = {chr(i) for i in range(32)} - {"\t", "\n", "\r"} | {"\ufffe", "\uffff"}


@pytest.fixture(scope="module")
def child():
    with Child("table_readers") as child:
        yield child


def written(cell):
    """A cell as a workbook can hold it: no control characters in a text."""
    return "".join(c for c in cell if c not in FORBIDDEN) if isinstance(cell, str) else cell


def written_book(path, sheets):
    """Write {name: rows} as the kind of workbook that the suffix says."""
    sheets = {name: [[written(cell) for cell in row] for row in rows] for name, rows in sheets.items()}
    (write_xls if path.suffix == ".xls" else write_xlsx)(path, sheets)


def repacked(data, chosen, edits):
    """An .xlsx whose part number `chosen` is edited, with the right sums and sizes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {item.filename: archive.read(item) for item in archive.infolist()}
    name = sorted(parts)[chosen % len(parts)]
    parts[name] = edited(parts[name], edits)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


@pytest.mark.parametrize("reader", RELEASES)
def test_workbooks(reader, child, full, tmp_path, record_property):
    rows, others, name, columns = RELEASES[reader]
    emotions = {SHEET: [EMOTIONS_HEADER, *EMOTIONS]} if reader == "casme3" else None

    def make(example, folder):
        edits, emotion_edits, damage, suffix, strict, missing_offset = example
        root = folder / "root"
        root.mkdir()
        path = (root / name).with_suffix(suffix) if suffix else root / name
        changed = edited_rows(rows, edits)
        written_book(path, {SHEET: changed, **others})
        if damage:
            chosen, raw = damage
            inside = path.suffix == ".xlsx" and chosen is not None
            path.write_bytes(repacked(path.read_bytes(), chosen, raw) if inside else edited(path.read_bytes(), raw))
        if emotions is not None:
            other = root / "cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx"
            written_book(other, {SHEET: edited_rows(emotions[SHEET], emotion_edits)})
        settings = json.dumps({"dataset": {"strict": strict, "missing_offset": missing_offset}})
        arguments = {"reader": reader, "root": str(root), "out": str(folder / "out"), "settings": settings}
        arguments |= {"strict": strict, "names": [str(root), "fedn-pipeline dataset: casme"]}
        n_above = len(rows) - 4  # the header and what stands above it
        if not damage and {kind for kind, *_ in edits} <= OF_CELLS and changed[:n_above] == rows[:n_above]:
            arguments |= {"sheet": [[written(cell) for cell in row] for row in changed], "columns": columns}
        return arguments

    cell_edits = table_edits(WORDS)
    raw = byte_edits(MARKERS_XLS if name.endswith(".xls") else MARKERS_XLSX)
    strategy = st.tuples(
        mostly(
            cell_edits, st.lists(st.tuples(st.just("cell"), st.integers(0, 9), st.integers(0, 9), cells), max_size=6)
        ),
        mostly(st.just([]), cell_edits, 2),
        mostly(st.none(), st.tuples(st.one_of(st.none(), st.integers(0, 20)), raw), 2),
        mostly(st.none(), st.sampled_from((".xls", ".xlsx", ".xlsm")), 4),
        st.booleans(),
        st.sampled_from(("apex_plus_20", "apex", "drop")),
    )
    n, called = 1000 if full else 25, f"workbooks of {reader}"
    check_mutated(called, child, "release", n, strategy, make, tmp_path, record_property)
