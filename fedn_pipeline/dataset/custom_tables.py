"""The two tables that a user may lay beside his own videos: events.csv and videos.csv, both optional.

Used by custom.py. Rows name a video by its id, its file name or its path below the root; times are frames or seconds.
Reading collects every problem, with the file's line numbers (docs/datasets.md).
"""

import difflib
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from fedn_pipeline.dataset import release
from fedn_pipeline.dataset.tables import EVENT_COLUMNS, VARIABLE, VIDEO_COLUMNS, Sheet
from fedn_pipeline.files import UNPRINTABLE, InputError

SECONDS = ("onset_s", "offset_s")
FRAMES = ("onset", "offset")
TYPES = ("", "macro", "micro")
LABEL_SET = "annotated"  # of rows that name none
# Columns of videos.csv that are measured, so that the user's are not used.
MEASURED = ("source", "kind", "n_frames", "width", "height", "first_number", VARIABLE)


def safe(text):
    """`text` as a name of files: every other character becomes `_`; no name starts with a dot or a dash."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", unicodedata.normalize("NFC", text))
    return name if re.match("[^.-]", name) else f"_{name}"


def hostile(text):
    """Why a cell or a file name is refused in any mode, or None."""
    if any(unicodedata.category(character) in UNPRINTABLE for character in text):
        return "holds control characters"
    return "is a formula" if text.startswith("=") else None


def plain(name):
    """A video's name as it is looked up: one spelling of accents, forward slashes, no leading `./`."""
    name = unicodedata.normalize("NFC", name).strip().replace("\\", "/")
    return name.removeprefix("./")


def names_in(path):
    """The distinct videos that a table names, as they are looked up; hostile names are left to the table's reader."""
    try:
        cells = Sheet(path, ("video_id",), ("video_id",), further_columns=True).table["video_id"]
    except InputError:  # the table's reader says why
        return []
    names = {plain(cell) for cell in cells if not (hostile(cell) or _outside(cell))}
    return sorted(name for name in names if PurePosixPath(name).name)  # `.` and empty cells name nothing


class Names:
    """Which video a row means: `{name: ids}` of every name that a video goes by."""

    def __init__(self):
        self.ids = {}

    def add(self, video_id, path):
        """`path` is relative to the root."""
        path = PurePosixPath(plain(str(path)))
        for name in {video_id, path.name, path.stem, str(path), str(path.with_suffix(""))}:
            self.ids.setdefault(name, set()).add(video_id)

    def find(self, name):
        """`(video_id, "", "")`, or `(None, rule, what it says)`; ValueError with the reason for a hostile name."""
        found = self.ids.get(plain(name), set())
        if len(found) == 1:
            return next(iter(found)), "", ""
        if found:
            return None, "several_videos", f"{name!r} is {', '.join(sorted(found))}; give the path below the root"
        why = hostile(name)
        if _outside(name):
            why = why or "is a path outside the folder"
        if why:
            raise ValueError(f"video_id {name[:60]!r} {why}")
        near = difflib.get_close_matches(plain(name), self.ids, n=1)
        return None, "no_such_video", repr(name) + (f"; did you mean {near[0]!r}?" if near else "")


def read_videos(path, names, problems):
    """videos.csv as `{video_id: {column: cell}}`: `subject`, `fps` and group columns; {} where there is no file."""
    if not path.is_file():
        return {}
    sheet = _opened(path, VIDEO_COLUMNS, ["video_id"], problems, further_columns=True)
    if sheet is None:
        return {}
    unused = [name for name in MEASURED if name in sheet.header]
    if unused:
        problems.repair("", 1, "measured_columns", ", ".join(unused), f"not taken from {path.name}")
    sheet.number("fps", positive=True)
    broken, found = _broken(sheet, problems, "the row is wrong"), {}
    columns = [name for name in sheet.header if name not in ("video_id", *MEASURED)]
    for line, row in zip(sheet.lines.tolist(), sheet.table.to_dict("records"), strict=True):
        video_id = _video_of(row, path, line, names, problems)
        if video_id is None or line in broken or _refused(row, columns, path, line, problems):
            continue
        if video_id in found:
            problems.fault(path, line, "duplicate_row", video_id, video_id, "dropped")
            continue
        found[video_id] = {column: row[column] for column in columns if not pd.isna(row[column])}
    return found


def read_events(path, names, axes, problems):
    """events.csv as `(events, subjects)`: the canonical table, and `{video_id: subject}` of its column `subject`.

    axes: `{video_id: Axis}`, without n_frames or fps where they are not known; both are empty where there is no file.
    """
    if not path.is_file():
        return _table([]), {}
    times = _time_columns(path, problems)
    columns = [*EVENT_COLUMNS, *SECONDS, "subject"]
    sheet = _opened(path, columns, ["video_id", *times, "emotion"], problems, further_columns=not problems.strict)
    if sheet is None:
        return _table([]), {}
    for name in sheet.header:
        if name not in columns:
            problems.fault(path, 1, "unknown_column", "", name, "left out")
    for column in times:
        sheet.number(column, required=True) if times == SECONDS else sheet.integer(column, required=True)
    sheet.integer("apex")
    sheet.one_of("expression_type", TYPES)
    broken = _broken(sheet, problems, "dropped")
    if times == SECONDS and not all(axis.fps for axis in axes.values()):
        problems.refuse(path, 1, "times in seconds need the videos' frame rate: set dataset.fps")
        return _table([]), {}
    lines = zip(sheet.lines.tolist(), sheet.table.to_dict("records"), strict=True)
    rows = [(path, line, row) for line, row in lines]
    return collect(rows, times, names, axes, problems, broken)


def collect(rows, times, names, axes, problems, broken=()):
    """`(events, subjects)` as `read_events` gives them, of `(path, line, row)` with the cells of events.csv.

    times: FRAMES or SECONDS, already numbers; broken: lines whose problems are noted already.
    """
    events, subjects, first = [], {}, {}
    for path, line, row in rows:
        video_id = _video_of(row, path, line, names, problems)
        words = ("emotion", "subject", "label_set", "provenance")
        if video_id is None or line in broken or _refused(row, words, path, line, problems):
            continue
        if video_id not in axes:
            problems.repair(video_id, line, "video_left_out", "", "dropped")
            continue
        if row["subject"].strip() and subjects.setdefault(video_id, row["subject"].strip()) != row["subject"].strip():
            before = f"{video_id}: {subjects[video_id]}, {row['subject']}"
            problems.fault(path, line, "two_subjects", video_id, before, subjects[video_id])
        interval = _interval(row, times, axes[video_id], _Place(path, line, video_id, problems))
        if interval is None:
            continue
        event = {
            "place": (path, line),
            "video_id": video_id,
            **interval,
            "expression_type": row["expression_type"],
            "emotion": row["emotion"].strip(),
            "label_set": row["label_set"].strip() or LABEL_SET,
            "provenance": row["provenance"].strip() or f"{path.name}:row {line}",
        }
        if event["emotion"] != row["emotion"]:
            problems.repair(video_id, line, "emotion_trimmed", repr(row["emotion"]), event["emotion"])
        key = tuple(event[name] for name in ("video_id", *FRAMES, "expression_type", "emotion", "label_set"))
        if first.setdefault(key, (path, line)) != (path, line):
            problems.fault(path, line, "duplicate_row", video_id, f"as row {first[key][1]}", "dropped")
            continue
        events.append(event)
    _one_spelling_of_emotions(events, problems)
    return _table(events), subjects


@dataclass(frozen=True)
class _Place:
    """Where in events.csv a row stands."""

    path: Path
    line: int
    video_id: str
    problems: release.Problems

    def fault(self, rule, before, after):
        self.problems.fault(self.path, self.line, rule, self.video_id, before, after)


def _interval(row, times, axis, place):
    """`{onset, apex, offset}` in frames, inside the video; None if the row is dropped."""
    start, end = row[times[0]], row[times[1]]
    before = f"{times[0]} {start:g}, {times[1]} {end:g}" if times == SECONDS else f"onset {start}, offset {end}"
    if end < start:
        return place.fault("offset_before_onset", before, "dropped")
    if times == SECONDS:
        if start < 0:
            return place.fault("onset_before_first_frame", before, "dropped")
        if end * axis.fps > release.LAST_FRAME:
            return place.fault("not_a_frame_number", f"{before}, {axis.fps:g} fps", "dropped")
        onset, offset = axis.frames(start, end)
        if offset < onset:
            return place.fault("shorter_than_a_frame", f"{before}, {axis.fps:g} fps", "dropped")
    else:
        onset, offset = int(start), int(end)
    if axis.n_frames is not None and offset >= axis.n_frames:
        last, kept = axis.n_frames - 1, onset < axis.n_frames
        before = f"{before}, last frame {last}"
        before += f" ({axis.seconds(last, last)[0]:.3f} s)" if times == SECONDS else ""
        place.fault("past_the_end", before, f"offset {last}" if kept else "dropped")
        if not kept:
            return None
        offset = last
    apex = None if pd.isna(row["apex"]) else int(row["apex"])
    if apex is not None and not onset <= apex <= offset:
        place.fault("apex_outside", f"onset {onset}, apex {apex}, offset {offset}", "apex empty")
        apex = None
    return {"onset": onset, "apex": apex, "offset": offset}


def one_spelling(words):
    """`{word in lower case: its commonest spelling}` of words that may differ by case."""
    chosen = {}
    for word, _ in Counter(words).most_common():
        chosen.setdefault(word.casefold(), word)
    return chosen


def _one_spelling_of_emotions(events, problems):
    """One spelling for emotions that differ only by case; and none empty where others are named."""
    chosen = one_spelling(event["emotion"] for event in events)
    for event in events:
        emotion, one = event["emotion"], chosen[event["emotion"].casefold()]
        if emotion != one:
            before = f"{emotion}, else {one}"
            problems.fault(*event["place"], "emotion_spelling", event["video_id"], before, one)
            event["emotion"] = one
        if not emotion and len(chosen) > 1:
            problems.fault(*event["place"], "emotion_missing", event["video_id"], "", "empty")


def _table(events):
    table = pd.DataFrame(events, columns=EVENT_COLUMNS)
    return table.astype({"onset": "int64", "apex": "Int64", "offset": "int64"})


def _video_of(row, path, line, names, problems):
    """The row's video, or None with the fault noted."""
    try:
        video_id, rule, detail = names.find(row["video_id"])
    except ValueError as error:
        return problems.refuse(path, line, str(error))
    if rule:
        problems.fault(path, line, rule, "", detail, "dropped")
    return video_id


def _outside(name):
    """Whether a name is a path that leads out of the folder."""
    return bool(re.match(r"[/\\~]|[A-Za-z]:", name)) or ".." in re.split(r"[/\\]", name)


def _refused(row, columns, path, line, problems):
    """Whether a cell of the row is refused."""
    reasons = [f"{name} {row[name][:60]!r} {hostile(row[name])}" for name in columns if _is_hostile(row[name])]
    for reason in reasons:
        problems.refuse(path, line, reason)
    return bool(reasons)


def _is_hostile(cell):
    return isinstance(cell, str) and hostile(cell) is not None


def _broken(sheet, problems, after):
    """Lines with a cell that cannot be read; each is a fault."""
    for line, rule in sorted(sheet.problems):
        problems.fault(sheet.path, line, rule, "", "", after)
    return {line for line, _ in sheet.problems}


def _opened(path, columns, required, problems, further_columns):
    """The file as a checked sheet; None with its problems noted if its header is no use."""
    first_line = _first_line(path)
    if "," not in first_line and re.search("[;\t]", first_line):
        return problems.refuse(path, 1, "the cells are separated by `;` or tabs: save the file with commas")
    try:
        return Sheet(path, columns, required, further_columns)
    except InputError as error:
        problems.include(error)
        return None


def _first_line(path):
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return file.readline()


def _time_columns(path, problems):
    """The pair of columns that gives the times."""
    found = {name.strip().strip('"') for name in _first_line(path).split(",")}
    if found & set(FRAMES) and found & set(SECONDS):
        problems.refuse(path, 1, "times in frames (onset, offset) and in seconds (onset_s, offset_s): give one of them")
    return SECONDS if found & set(SECONDS) else FRAMES
