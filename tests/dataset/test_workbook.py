"""Workbooks: cells as people write them, columns by header and content, and files that are no workbooks."""

import datetime
import io
import struct
import zipfile
from pathlib import Path

import pytest
from workbooks import xls, xlsx

from fedn_pipeline.dataset import search, workbook
from fedn_pipeline.files import InputError


def test_both_formats_give_the_same_cells(tmp_path):
    rows = [["", "a", 1, 2.5], [], ["", "b ", 3, "4"]]
    for path in (
        xlsx(tmp_path / "a.xlsx", {"one": rows, "two": [["x"]]}),
        xls(tmp_path / "a.xls", {"one": rows, "two": [["x"]]}),
    ):
        one, two = workbook.read(path)
        assert (one.name, two.name, two.rows) == ("one", "two", [["x"]])
        assert len(one.rows) == 3 and one.rows[2][1:] == ["b ", 3, "4"] and one.rows[0][3] == 2.5


def test_a_number_in_a_cell_with_a_date_format(tmp_path):
    (sheet,) = workbook.read(xlsx(tmp_path / "a.xlsx", {"s": [[datetime.date(1900, 7, 18), 1]]}))
    assert sheet.rows[0][0] == 200


def test_rows_are_numbered_from_the_top_of_the_sheet(tmp_path):
    (sheet,) = workbook.read(xlsx(tmp_path / "a.xlsx", {"s": [[], [], [None, "far"]]}))
    assert sheet.rows[2][1] == "far"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (401.0, "401"),
        (" a\u00a0\n", "a"),
        ("a\n \u00a0b", "a b"),
        ("a\x1fb", "a\x1fb"),
        ("\u200ea\ufeff", "a"),
        (float("nan"), ""),
        ("４０１", "401"),
        ("", ""),
        (2.5, "2.5"),
    ],
)
def test_text(cell, shown):
    assert workbook.text(cell) == shown


@pytest.mark.parametrize(("cell", "value"), [(3, 3), ("3.0 ", 3), (" 7", 7), ("", None), ("NaN", None), ("-", None)])
def test_number(cell, value):
    assert workbook.number(cell) == value


@pytest.mark.parametrize("cell", ["three", "inf", "1 2", float("inf")])
def test_no_number(cell):
    with pytest.raises(ValueError):
        workbook.number(cell)
    assert not workbook.is_number(cell)


def test_columns_by_content_and_header():
    rows = [["x", 1, ""], ["y", "2", ""], ["z", "?", ""]]
    assert workbook.columns_of(rows, workbook.is_number) == [1]
    names = {"onset": {"onset"}, "apex": {"apex"}}
    assert workbook.header([["title", ""], ["Onset ", "APEX"]], names, {"onset"}) == (1, {"onset": 0, "apex": 1})
    assert workbook.header(rows, names, {"onset"}) == (None, {})


def bomb(path, n_bytes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", b" " * n_bytes)


def refused(path):
    with pytest.raises(InputError) as caught:
        workbook.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    bomb(tmp_path / "b.xlsx", 50_000_000)
    assert "zip bomb" in refused(tmp_path / "b.xlsx")


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path):
    bomb(tmp_path / "b.xlsx", 50_000_000)
    content = (tmp_path / "b.xlsx").read_bytes()
    (tmp_path / "b.xlsx").write_bytes(
        content.replace((50_000_000).to_bytes(4, "little"), (5_000).to_bytes(4, "little"))
    )
    assert "not a readable workbook" in refused(tmp_path / "b.xlsx")


def edited(path, change):
    """The workbook with its first sheet's XML changed."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/worksheets/sheet1.xml"] = change(parts["xl/worksheets/sheet1.xml"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        (b'<c r="XFD1048576"><v>1</v></c>', "XFD1048576"),
        (b'<c r="F1048576"><v>1</v></c>', "F1048576"),
        (b"<c><v>1</v></c>" * 9000, "MHD1048576"),
    ],
)
def test_a_far_away_cell_is_refused_by_its_name(tmp_path, cell, name):
    path = xlsx(tmp_path / "a.xlsx", {"s": [[1]]})
    row = b'<row r="1048576">' + cell + b"</row></sheetData>"
    message = refused(edited(path, lambda xml: xml.replace(b"</sheetData>", row)))
    assert f"the farthest is {name}: too many" in message


def test_a_workbook_that_may_not_be_read(tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied")

    path = xlsx(tmp_path / "a.xlsx", {"s": [[1]]})
    monkeypatch.setattr(Path, "read_bytes", denied)
    assert refused(path).endswith("cannot be read: Permission denied")


def test_a_parser_that_runs_out_of_memory_is_one_line(tmp_path):
    path = xls(tmp_path / "a.xls", {"s": [[1.5 + i for i in range(0, 1)], [*[""] * 199, 2.125]]})
    cell = struct.pack("<HH", 1, 199)  # row and column of the last cell, in the binary record
    content = path.read_bytes()
    assert content.count(cell) == 1
    path.write_bytes(content.replace(cell, struct.pack("<HH", 65535, 65535)))
    assert "not a readable workbook" in refused(path)


def test_an_old_binary_sheet_that_spans_too_much_is_refused(tmp_path):
    path = xls(tmp_path / "a.xls", {"s": [[1, *[""] * 254, 2], *[[]] * 30_000, [3]]})
    assert "a sheet spans 30002 x 256 cells, the farthest is IV30002" in refused(path)


def test_formulas_are_known_and_not_evaluated(tmp_path):
    (sheet,) = workbook.read(xlsx(tmp_path / "a.xlsx", {"s": [["a", "=1+1"], ["=A1", 3]]}))
    assert sheet.formulas == {(1, 1), (2, 0)}


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 no zip", workbook.OLE_MAGIC + b"\0" * 2000])
def test_no_workbook_at_all(tmp_path, content):
    (tmp_path / "a.xls").write_bytes(content)
    assert ": not a " in refused(tmp_path / "a.xls")


def test_truncated_workbooks(tmp_path):
    for path in (xlsx(tmp_path / "a.xlsx", {"s": [["a", 1]] * 50}), xls(tmp_path / "a.xls", {"s": [["a", 1]] * 50})):
        content = path.read_bytes()
        for share in (0.2, 0.5, 0.8):
            path.write_bytes(content[: int(share * len(content))])
            assert "not a readable workbook" in refused(path)


def test_a_zip_that_is_no_workbook(tmp_path):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("photo.jpg", b"x")
    (tmp_path / "a.xlsx").write_bytes(memory.getvalue())
    assert "not a readable workbook" in refused(tmp_path / "a.xlsx")


def test_search_passes_frame_folders_by(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "MAX_ENTRIES", 20)
    for place in ("b.xlsx", "~$b.xlsx", "._b.xlsx", "x/a.XLS", "rawpic/c.xlsx", "spNO.1/d.xlsx", "x/y/z/w/deep.xlsx"):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "many").mkdir()
    for i in range(search.MAX_ENTRIES + 1):
        (tmp_path / "many" / f"{i}.xlsx").touch()
    assert search.workbooks(tmp_path) == [tmp_path / "b.xlsx", tmp_path / "x" / "a.XLS"]
