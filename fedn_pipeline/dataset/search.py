"""Find the workbooks and the video folders of a release below the folder that the user named.

First step of the readers. A release has millions of image files, so folders of frames are never listed: the search
goes a few levels deep, passes by folders with the names that frames live under, and leaves a folder with too many
entries.
"""

import os
import re
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from fedn_pipeline.dataset import workbook
from fedn_pipeline.dataset.release import type_of
from fedn_pipeline.files import InputError

VIDEO_SUFFIXES = (".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts")
VIDEO_SUFFIXES += (".mxf", ".ogv", ".vob", ".webm", ".wmv")
DEPTH = 3  # levels below the root: a release within its download within the user's folder
MAX_ENTRIES = 5000  # no folder of annotations or of videos is as long; folders of frames are
FRAME_FOLDER = re.compile(
    r"(raw_?(pic|video)s?.*|longvideo.*|selected_?pic.*|cropped.*|color|depth|s\d+|spno\.?\d+|\d{3}_\d+|\d+_\d{4}.*)",
    re.I,
)
REMOVE = "remove or rename it if it is not needed"
WORKBOOK = re.compile(r"[^.~].*\.(xlsx|xlsm|xls)", re.I)  # not `~$lock.xlsx`, not macOS's `._copy.xlsx`


def workbooks(root):
    """Paths of the workbooks at most DEPTH levels below `root`, nearest first, then by name."""
    found = []
    for depth, _, entries in _folders(root, DEPTH, FRAME_FOLDER.fullmatch):
        found += [(depth, entry.path) for entry in entries if WORKBOOK.fullmatch(entry.name) and _is(entry.is_file)]
    return [Path(path) for _, path in sorted(found)]


def parents_of(root, is_member):
    """Folders at most DEPTH levels below `root` (or `root` itself) that hold a folder whose name `is_member` accepts.

    The members themselves are not entered. Nearest first, then by name.
    """
    found = []
    for depth, path, entries in _folders(root, DEPTH, is_member):
        if any(_is(entry.is_dir) and is_member(entry.name) for entry in entries):
            found.append((depth, path))
    return [Path(path) for _, path in sorted(found)]


def members(folder, is_member, files=False):
    """The folders (or the files) in `folder` whose name `is_member` accepts, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            chosen = [entry for entry in entries if is_member(entry.name) and (files or _is(entry.is_dir))]
    except PermissionError:
        raise InputError(f"{folder}: may not be read (dataset.root)") from None
    return [Path(entry.path) for entry in sorted(chosen, key=lambda entry: entry.name)]


def check_root(root):
    """`root` as an existing folder; InputError else."""
    root = Path(root)
    if root.is_file():
        raise InputError(f"{workbook.one_line(root)}: a file, not a folder: give its folder (dataset.root)")
    if not root.is_dir():
        raise InputError(f"{workbook.one_line(root)}: no such folder (dataset.root)")
    return root


def _is(test):
    """What `test`, a question to a folder's entry, answers; a link that leads to itself is neither file nor folder."""
    try:
        return test()
    except OSError:
        return False


def _folders(root, depth, passed_by):
    """(depth, path, entries) of the folders below root, breadth first; `passed_by(name)`: not entered."""
    waiting = deque([(0, str(root))])
    while waiting:
        level, path = waiting.popleft()
        try:
            with os.scandir(path) as listing:
                entries = list(islice(listing, MAX_ENTRIES + 1))
        except PermissionError:
            if level:  # a disk's lost+found beside the release
                continue
            raise InputError(f"{path}: may not be read (dataset.root)") from None
        if len(entries) > MAX_ENTRIES:
            continue
        yield level, path, entries
        if level < depth:
            inner = [entry for entry in entries if _is(entry.is_dir) and entry.name[0] != "."]
            waiting.extend((level + 1, entry.path) for entry in inner if not passed_by(entry.name))


@dataclass
class Annotations:
    """The sheet that holds a release's annotations: `rows` (numbers of the rows that are expressions, a person's
    count), `columns` {name: index}, `counts` (macro, micro). `paths`: all workbooks that were found; `books`: {path:
    sheets} of those that were parsed.
    """

    sheet: workbook.Sheet
    columns: dict
    rows: list
    counts: tuple
    paths: list = field(default_factory=list)
    books: dict = field(default_factory=dict)

    def book(self, path):
        """All sheets of one of `paths`, parsed once. Raises InputError as `workbook.read` does."""
        if path not in self.books:
            self.books[path] = workbook.read(path)
        return self.books[path]


def annotations(root, patterns, find, known_counts, what):
    """`(Annotations, notes)` of the best workbook below `root`.

    Workbooks whose name fits one of `patterns` come first, in that order, and must be readable; only if there is none,
    all others are tried. `find(sheet)` gives Annotations or None. Of several, one with known row counts is used
    (`known_counts` {(macro, micro): its name}, best first), then the first.
    """
    paths = workbooks(root)
    ranks = {
        path: next((i for i, name in enumerate(patterns) if re.search(name, path.name, re.I)), None) for path in paths
    }
    named = sorted((path for path in paths if ranks[path] is not None), key=lambda path: ranks[path])
    found, books, unreadable = [], {}, []
    for path in named or paths:
        try:
            books[path] = workbook.read(path)
        except InputError as error:
            unreadable.append(workbook.one_line(error))
            continue
        seen = [annotated for annotated in map(find, books[path]) if annotated]
        found += sorted(seen, key=lambda annotated: -len(annotated.rows))
    if named and unreadable:
        raise InputError("\n".join(line + (f"; {REMOVE}" if found else "") for line in unreadable))
    if not found:
        looked = "looked at: " + ", ".join(path.name for path in named or paths)
        looked = looked if paths else f"there is no workbook in it, nor in the folders to {DEPTH} levels below"
        nothing = workbook.one_line(f"{root}: no annotations of {what} found; {looked}")
        raise InputError("\n".join([nothing, *unreadable]))
    order = list(known_counts)
    best = min(found, key=lambda one: order.index(one.counts) if one.counts in order else len(order))
    best.paths, best.books = paths, books
    macro, micro = best.counts
    notes = [
        f"Annotations: {best.sheet.path.name}, sheet {best.sheet.name}: {macro} macro and {micro} micro rows, "
        f"{known_counts.get(best.counts, 'which is no release known to this reader')}."
    ]
    if len(found) > 1:
        notes.append(
            "Not used: "
            + ", ".join(f"{one.sheet.path.name} ({one.sheet.name})" for one in found if one is not best)
            + "."
        )
    return best, notes


def expressions(sheet, columns, n_above):
    """Annotations of a sheet whose columns are known: its rows, below the first `n_above`, that are expressions.

    A row counts if it has an expression type and a frame or a clip's name, or two frames; titles and totals do not.
    """
    rows, counts = [], {"macro": 0, "micro": 0}
    for number, row in enumerate(sheet.rows[n_above:], n_above + 1):
        kind, clip = type_of(row[columns["type"]]), row[columns["clip"]]
        n_frames = sum(workbook.is_number(row[columns[name]]) for name in ("onset", "apex", "offset"))
        if n_frames >= 2 or (kind and (n_frames or (workbook.text(clip) and not workbook.is_number(clip)))):
            rows.append(number)
            counts[kind] = counts.get(kind, 0) + 1
    return Annotations(sheet, columns, rows, (counts["macro"], counts["micro"])) if rows else None
