"""What the tests of the readers share: run a reader as a user does, and compare its tables with the truth."""

import json
import os
import shutil
from functools import cache
from types import SimpleNamespace

import openpyxl
import pandas as pd

from fedn_pipeline import cli
from fedn_pipeline.dataset import tables

from .books import write_xls
from .casme2 import write_casme2
from .casme3 import write_casme3
from .custom import write_custom
from .plan import LEAST_SECONDS
from .samm import write_samm

WRITE = {"casme2": write_casme2, "casme3": write_casme3, "samm": write_samm, "custom": write_custom}
SIZES_PX = {"casme2": (320, 240), "casme3": (256, 144), "samm": (64, 48), "custom": (160, 120)}
EVENT = ["source", "onset", "apex", "offset", "expression_type", "emotion", "label_set", "row"]


def written_once(tmp_path_factory):
    """Function `name -> (root, Planted)`; a release is written once in a process, and must not be changed."""
    return lambda name: _written(tmp_path_factory.getbasetemp() / "miniature" / name, name)


@cache
def _written(root, name):
    root.mkdir(parents=True)
    return root, WRITE[name](root, seconds=LEAST_SECONDS, size=SIZES_PX[name])


def copied(root, folder):
    """A copy of a release in `folder` whose files may be replaced and removed; images share their bytes."""
    shutil.copytree(root, folder, copy_function=os.link)
    for path in [*folder.rglob("*.xls*"), *folder.rglob("*.csv")]:
        content = path.read_bytes()  # a file of its own: it will be written to
        path.unlink()
        path.write_bytes(content)
    return folder


def read(name, root, out, *arguments, **dataset):
    """Run the reader as a user does: `(status, tables or None)`; `dataset`: keys of that section."""
    settings = json.dumps({"dataset": dataset})
    status = cli.main(
        ["dataset", name, "--root", str(root), "--out", str(out), "--settings", settings, *map(str, arguments)]
    )
    if status:
        assert not list(out.rglob("*")), "bad input, but something was written"
        return status, None
    videos = tables.read_videos(out / "videos.csv")
    sources = dict(zip(videos.video_id, videos.source, strict=True))
    events = tables.read_events(out / "events.csv", videos)
    issues = pd.read_csv(out / "data_issues.csv", dtype=str, keep_default_na=False)
    assert issues.columns.tolist() == ["video_id", "row", "rule", "before", "after"]
    return status, SimpleNamespace(
        videos=videos.assign(source=videos.source.str.rstrip("/")),
        events=events.assign(source=events.video_id.map(sources), row=_row_of(events.provenance)),
        issues=issues.assign(source=issues.video_id.map(sources)),
    )


def _row_of(provenance):
    """The sheet's row number at the end of each provenance."""
    return provenance.str.extract(r"row (\d+)$", expand=False).astype(int)


def _in_order(events):
    """Events as comparable rows: values as text, in the order of the sheet."""
    rows = events.assign(apex=events.apex.astype("Int64"))[EVENT].astype(str)
    return rows.sort_values(["source", "onset", "offset", "label_set", "row"], ignore_index=True)


def expected(truth, **wanted):
    """The planted events, restricted to values of columns."""
    events = truth.events.assign(row=_row_of(truth.events.provenance))
    for column, values in wanted.items():
        events = events[events[column].isin(values)]
    return events


def assert_same_events(found, wanted):
    pd.testing.assert_frame_equal(_in_order(found), _in_order(wanted), check_dtype=False)


def append(path, sheet, rows):
    """Append rows to a sheet of a workbook in place; the row number of each, as a person sees it."""
    if path.suffix == ".xls":
        read = pd.read_excel(path, sheet_name=None, header=None, engine="calamine")
        sheets = {name: [[*row] for row in table.itertuples(index=False)] for name, table in read.items()}
        first = len(sheets[sheet]) + 1
        sheets[sheet] += rows
        write_xls(path, sheets)
    else:
        book = openpyxl.load_workbook(path)
        first = book[sheet].max_row + 1
        for row in rows:
            book[sheet].append(row)
        book.save(path)
    return list(range(first, first + len(rows)))
