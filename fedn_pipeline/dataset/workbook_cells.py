"""Parse one workbook, given on standard input, and print its worksheets as JSON: the child process of workbook.py.

A damaged or hostile workbook can make a parser reserve any amount of memory, crash, or run for minutes; here that
ends this process alone. Run by its path, so that nothing of the package is imported.
"""

import datetime
import json
import resource
import sys
from io import BytesIO

import python_calamine

MAX_CELLS = 5_000_000  # rows times columns of one sheet, all of which a parser reserves for one far-away cell
DAY_0 = datetime.date(1899, 12, 30)  # of dates in workbooks
MAX_MEMORY_BYTES = 2_000_000_000  # of address space; a workbook of 4206 rows needs a twentieth


def main():
    """{sheet name: rows of cells, from the first row and column of the sheet}."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    book = python_calamine.CalamineWorkbook.from_filelike(BytesIO(sys.stdin.buffer.read()))
    worksheet = python_calamine.SheetTypeEnum.WorkSheet
    cells = {}
    for name in [sheet.name for sheet in book.sheets_metadata if sheet.typ == worksheet]:
        sheet = book.get_sheet_by_name(name)
        n_rows, n_columns = (last + 1 for last in sheet.end or (-1, -1))
        if n_rows * n_columns > MAX_CELLS:
            last = cell_name(n_rows, n_columns - 1)
            sys.exit(f"a sheet spans {n_rows} x {n_columns} cells, the farthest is {last}: too many for annotations")
        cells[name] = sheet.to_python(skip_empty_area=False)
    json.dump(cells, sys.stdout, default=_plain)


def cell_name(row, column):
    """`B4` of row 4 (as a person counts) and column 1 (from 0)."""
    letters = ""
    while column >= 0:
        letters, column = chr(ord("A") + column % 26) + letters, column // 26 - 1
    return f"{letters}{row}"


def _plain(cell):
    """A number that a wrong format of its cell shows as a date, as the number of days that it is; else as text."""
    if isinstance(cell, datetime.datetime):
        cell = cell.date()
    return (cell - DAY_0).days if isinstance(cell, datetime.date) else str(cell)


if __name__ == "__main__":
    main()
