"""Read a hand-made workbook (.xlsx, .xlsm, old binary .xls) as plain cells, and find columns by header or content.

What the readers of the licensed releases stand on. Nothing is trusted: the size is checked before anything is
unpacked, python-calamine parses in a process of its own (workbook_cells.py), every error becomes one line, and no
formula is ever evaluated. An .xls does not show which of its cells are formulas: their last values are read.
"""

import json
import math
import re
import subprocess
import sys
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

from fedn_pipeline.dataset.workbook_cells import MAX_CELLS, cell_name
from fedn_pipeline.files import InputError

# The largest real workbook (4206 rows) is below 1 MB and unpacks to some MB; beyond these it is a bomb, or no
# annotation. Text of a sheet compresses 10 to 50 times, a bomb 1000 times.
MAX_FILE_BYTES = 64_000_000
MAX_UNPACKED_BYTES = 200_000_000
MAX_RATIO = 200
RATIO_MATTERS_BYTES = 8_000_000
MAX_SECONDS = 60  # to parse one workbook; the largest real one takes under 1 s
ROWS_LOOKED_AT = 400  # by which a column is known
HEADER_ROWS = 40  # a header stands in the first rows of a sheet, below a few lines of title
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SPREADSHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
CELL = re.compile(
    rb"<(?:\w{1,9}:)?c\b[^<>]*?\br=[\"']([A-Z]{1,3})(\d{1,7})[\"'][^<>/]*>\s{0,9}(<(?:\w{1,9}:)?f\b)?"
)  # a cell with content, and whether that is a formula
UNPLACED_CELL = re.compile(rb"<(?:\w{1,9}:)?c(?=[\s>])(?![^<>]*\br=)[^<>/]*>")
ROW_NUMBER = re.compile(rb"<(?:\w{1,9}:)?row\b[^<>]*?\br=[\"'](\d{1,7})[\"']")
SHEET_ROWS, SHEET_COLUMNS = 1_048_576, 16_384  # of a full .xlsx
# What zipfile and ElementTree raise for content that is damaged, encrypted or of an unknown compression.
DAMAGED = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, ElementTree.ParseError, KeyError, ValueError)
DAMAGED += (RuntimeError, EOFError, OSError)
EMPTY_WORDS = {"", "nan", "null", "none", "n/a", "na", "-", "--", "/", "\\"}


@dataclass
class Sheet:
    """One sheet: `rows[i][j]` is the cell in row i + 1 (as a person counts), "" where empty; rows of equal length.

    `formulas`: the cells with a formula, `(row as a person counts, column from 0)`; none are seen in an .xls.
    """

    path: Path
    name: str
    rows: list
    formulas: set = field(default_factory=set)

    @property
    def file(self):
        return f"{self.path}: sheet {self.name}"


def read(path):
    """All worksheets of a workbook, in its order. InputError (one line) if it is none, or unreasonably large."""
    path = Path(path)
    try:
        n_bytes = path.stat().st_size
        content = path.read_bytes() if n_bytes <= MAX_FILE_BYTES else b""
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if n_bytes > MAX_FILE_BYTES:
        raise InputError(f"{path}: {n_bytes} bytes are too many for a workbook of annotations")
    formulas = {}
    if content.startswith(b"PK"):
        formulas = _unpacked_safely(path, content)
    elif not content.startswith(OLE_MAGIC):
        raise InputError(f"{path}: not a workbook (neither .xlsx nor .xls by its content)")
    cells = _cells(path, content)
    return [Sheet(path, one_line(name), rows, formulas.get(name, set())) for name, rows in cells.items()]


def _cells(path, content):
    """{sheet name: rows} from a process of its own, which may run out of memory or time."""
    command = [sys.executable, "-I", str(Path(__file__).with_name("workbook_cells.py"))]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=MAX_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{path}: not a readable workbook: parsing it takes more than {MAX_SECONDS} s") from error
    if done.returncode < 0:
        raise InputError(f"{path}: not a readable workbook: its parser crashed (signal {-done.returncode})")
    if done.returncode:
        error = one_line(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
        raise InputError(f"{path}: not a readable workbook: {error}")
    return json.loads(done.stdout)


def text(cell):
    """A cell as text: whole numbers without `.0`, forms unified, no invisible characters, no outer spaces.

    Inner spaces are single, and so is a line break; other control characters stay, to be refused.
    """
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    unified = unicodedata.normalize("NFKC", str(cell))
    cleaned = "".join(c for c in unified if c.isascii() or unicodedata.category(c) != "Cf").strip()
    return "" if cleaned.lower() == "nan" else re.sub(r"[ \t\r\n]+", " ", cleaned)


def word(cell):
    """A cell as a word to compare: in lower case."""
    return text(cell).lower()


def number(cell):
    """A cell as a number, whether stored as number or as text; None if it is empty. ValueError if it is neither."""
    if isinstance(cell, bool) or word(cell) in EMPTY_WORDS:
        return None
    if isinstance(cell, str) and ("_" in cell or not text(cell).isascii()):
        raise ValueError(f"a number for Python alone: {cell!r}")  # it reads 006_1_1 as 611
    value = float(cell) if isinstance(cell, int | float) else float(text(cell))
    if not math.isfinite(value):
        raise ValueError(f"not finite: {cell}")
    return value


def is_number(cell):
    """Whether a cell holds a number, stored as number or as text."""
    try:
        return number(cell) is not None
    except ValueError:
        return False


def columns_of(rows, test):
    """Indices of the columns in which at least half of the cells that are not empty pass `test`, from the left.

    Of a long sheet, evenly spaced rows are looked at.
    """
    rows, chosen = rows[:: max(1, len(rows) // ROWS_LOOKED_AT)], []
    for j in range(len(rows[0]) if rows else 0):
        filled = [row[j] for row in rows if text(row[j])]
        if filled and 2 * sum(map(bool, map(test, filled))) >= len(filled):
            chosen.append(j)
    return chosen


def header(rows, names, required):
    """`(row index, {name: column})` of the first row that names all `required` columns; (None, {}) if none does.

    names: {name: set of header words, lower case}; of columns with one name the first counts.
    """
    for i, row in enumerate(rows[:HEADER_ROWS]):
        words = [word(cell) for cell in row]
        found = {
            name: next((j for j, cell in enumerate(words) if cell in known), None) for name, known in names.items()
        }
        found = {name: column for name, column in found.items() if column is not None}
        if required <= set(found):
            return i, found
    return None, {}


def _unpacked_safely(path, content):
    """Check sizes, sums and the extent of every sheet of a zipped workbook; {sheet name: cells with a formula}."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            total = sum(item.file_size for item in archive.infolist())
            if total > MAX_UNPACKED_BYTES or (total > RATIO_MATTERS_BYTES and total > MAX_RATIO * len(content)):
                raise InputError(f"{path}: unpacks from {len(content)} to {total} bytes: refused as a zip bomb")
            # Reading each member to its end proves the sizes that the directory announces.
            parts = {item.filename: archive.read(item) for item in archive.infolist()}
            named = _sheet_parts(parts)
    except DAMAGED as error:
        raise InputError(f"{path}: not a readable workbook: {one_line(error)}") from error
    return {name: _checked_cells(path, name, parts[part]) for name, part in named.items() if part in parts}


def _sheet_parts(parts):
    """{sheet name: name of its part} from the workbook's own lists."""
    if not {"xl/workbook.xml", "xl/_rels/workbook.xml.rels"} <= set(parts):
        return {}  # an unusual layout, for the parser to judge
    targets = {
        relation.get("Id"): relation.get("Target", "").lstrip("/").removeprefix("xl/")
        for relation in ElementTree.fromstring(parts["xl/_rels/workbook.xml.rels"])
    }
    book = ElementTree.fromstring(parts["xl/workbook.xml"])
    return {sheet.get("name"): f"xl/{targets.get(sheet.get(RELATION))}" for sheet in book.iter(f"{SPREADSHEET}sheet")}


def _checked_cells(path, name, xml):
    """The cells of a sheet that hold a formula; InputError if the sheet spans more than MAX_CELLS."""
    n_rows, n_columns, farthest, formulas = 0, 0, (0, 1, 0), set()
    for letters, digits, formula in CELL.findall(xml):
        row, column = int(digits), _column(letters)
        n_rows, n_columns = max(n_rows, row), max(n_columns, column + 1)
        farthest = max(farthest, (max(row / SHEET_ROWS, column / SHEET_COLUMNS), row, column))
        if formula:
            formulas.add((row, column))
    if UNPLACED_CELL.search(xml):
        n_rows = max([n_rows, xml.count(b"<row"), *map(int, ROW_NUMBER.findall(xml))])
        n_columns = max(n_columns, *(len(UNPLACED_CELL.findall(row)) for row in xml.split(b"<row")))
        farthest = 1, n_rows, n_columns - 1
    if n_rows * n_columns > MAX_CELLS:
        spans = f"spans {n_rows} x {n_columns} cells, the farthest is {cell_name(*farthest[1:])}"
        raise InputError(f"{path}: sheet {one_line(name)} {spans}: too many for annotations")
    return formulas


def _column(letters):
    """Index of a column from its letters: A is 0."""
    index = 0
    for letter in letters:
        index = 26 * index + letter - ord("A") + 1
    return index - 1


def one_line(value):
    """Anything as one printable line: control characters and line breaks become spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
