"""Workbooks as the releases have them: .xlsx, and the old binary .xls."""

import openpyxl
import xlwt


def write_xlsx(path, sheets):
    """Write {sheet name: rows}."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)


def write_xls(path, sheets):
    """Write {sheet name: rows}; None is an empty cell."""
    book = xlwt.Workbook()
    for name, rows in sheets.items():
        sheet = book.add_sheet(name)
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                if cell is not None:
                    sheet.write(i, j, cell)
    book.save(str(path))
