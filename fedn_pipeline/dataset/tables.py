"""The canonical tables videos.csv, events.csv and detections.csv: read with every check, written in order.

The one door through which tables enter any stage after `dataset`. Reading collects *all* problems of a file
into one InputError, a line each: `file: row N: rule`, where row N is the line of the file and line 1 the
header. Columns: datasets.md and evaluation.md.
"""

import csv
import difflib
import re
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd

from fedn_pipeline import files
from fedn_pipeline.files import UNPRINTABLE, InputError

VARIABLE = "variable_rate"  # column of videos.csv: frames have time stamps of their own, and `fps` is their mean
VIDEO_COLUMNS = ("video_id", "subject", "source", "kind", "n_frames", "fps", "width", "height")
EVENT_COLUMNS = (
    "video_id",
    "onset",
    "apex",
    "offset",
    "expression_type",
    "emotion",
    "label_set",
    "provenance",
)
DETECTION_COLUMNS = ("video_id", "onset", "offset", "confidence", "emotion", "kept")
# Names files and words of commands: none is hidden, an option, or a way out of a folder.
SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
KINDS = ("", "frames", "video")
BOOLEANS = {"True": True, "true": True, "1": True, "False": False, "false": False, "0": False}
MAX_LINES = 200  # problems listed in one message; the rest is counted


def read_videos(path, known=()):
    """videos.csv: `video_id, subject` are required, further columns (groups of subjects) are kept as text.

    `known`: columns that must not be empty.
    Dtypes: text, but `n_frames, width, height` Int64 and fps float64, empty where unknown; bool the column VARIABLE, if
    there is one. Raises InputError.
    """
    sheet = Sheet(path, VIDEO_COLUMNS, required=("video_id", "subject"), further_columns=True)
    sheet.safe_name("video_id")
    sheet.safe_name("subject")
    sheet.one_of("kind", KINDS)
    for column in ("n_frames", "width", "height"):
        sheet.integer(column, minimum=1)
    sheet.number("fps", positive=True)
    if VARIABLE in sheet.header:
        sheet.boolean(VARIABLE)
    for column in known:
        sheet.flag(sheet.table[column].isna(), lambda row, column=column: f"{column} must be known for this stage")
    sheet.unique(["video_id"], "two videos with one id")
    if not len(sheet.table):
        sheet.problem(1, "no videos below the header")
    return sheet.finished()


def read_events(path, videos):
    """events.csv: `video_id, onset, offset` are required, all other columns may be absent or empty.

    Dtypes: text, onset and offset int64, apex Int64. `videos` as `read_videos` gives them. Raises InputError.
    """
    sheet = Sheet(path, EVENT_COLUMNS, required=("video_id", "onset", "offset"))
    sheet.integer("apex")
    sheet.intervals_inside(videos)
    sheet.apex_inside()
    sheet.trimmed("emotion")
    for column in ("emotion", "expression_type", "label_set", "provenance"):
        sheet.printable(column)
    # Two rows of a release may agree in all but the row of its sheet; a row that was pasted twice has one provenance.
    identity = ["video_id", "onset", "offset", "expression_type", "emotion", "label_set", "provenance"]
    sheet.unique(identity, "duplicate row")
    return sheet.finished()


def read_detections(path, videos):
    """detections.csv: `video_id, onset, offset, confidence` are required, emotion and kept may be absent.

    Dtypes: text, onset and offset int64, confidence float64 (finite), kept bool (no column if the file has none).
    Further columns are kept as text, but `draw` (random draws of one method in one table) is int64, and `own_score`
    (what a peer's own protocol goes by) float64. Raises InputError.
    """
    required = ("video_id", "onset", "offset", "confidence")
    sheet = Sheet(path, DETECTION_COLUMNS, required=required, further_columns=True)
    sheet.intervals_inside(videos)
    sheet.number("confidence", required=True)
    sheet.trimmed("emotion")
    sheet.printable("emotion")
    draws = ["draw"] if "draw" in sheet.header else []
    for column in draws:
        sheet.integer(column, required=True)
    if "own_score" in sheet.header:
        sheet.number("own_score", required=True)
    sheet.unique(["video_id", "onset", "offset", "confidence", "emotion", *draws], "duplicate row")
    if "kept" in sheet.header:
        sheet.boolean("kept")
    else:
        del sheet.table["kept"]
    table = sheet.finished()
    return table.astype(dict.fromkeys(draws, np.int64))


def write_videos(path, videos):
    """videos.csv in the fixed column order, further columns behind."""
    _write(path, videos, VIDEO_COLUMNS)


def write_events(path, events):
    """events.csv in the fixed column order."""
    _write(path, events, EVENT_COLUMNS)


def write_detections(path, detections):
    """detections.csv in the fixed column order, further columns behind."""
    _write(path, detections, DETECTION_COLUMNS)


def of_label_set(events, labels, path):
    """The events of one label set; rows that name none belong to all. InputError if no row is left of some."""
    chosen = events[events["label_set"].isin(["", labels])].reset_index(drop=True)
    if len(events) and not len(chosen):
        found = ", ".join(sorted(set(events["label_set"])))
        raise InputError(f"{path}: no event of label set `{labels}` (dataset.labels); there are: {found}")
    return chosen


def ground_truth(events, types):
    """`(truth, others)`: events of the expression types `types` (or of none named), and all further ones."""
    chosen = events["expression_type"].isin(["", *types])
    return events[chosen].reset_index(drop=True), events[~chosen].reset_index(drop=True)


def emotions(events):
    """The emotions that have ground truth, sorted; empty ones are none."""
    return sorted(set(events["emotion"]) - {""})


def _write(path, table, columns):
    """Numbers with the fewest digits that read back as the same float."""
    first = [name for name in columns if name in table]
    further = [name for name in table if name not in columns]
    files.write_csv(path, table[first + further], float_format=None)


class Sheet:
    """A CSV file being checked: its cells as text, its line numbers, and the problems found so far.

    Each check replaces its column by the typed one, with bad cells empty, and notes the problems.
    """

    def __init__(self, path, columns, required, further_columns=False):
        self.path = path
        self.problems = []
        self.header, rows, self.lines = self._read(path)
        self._check_header(columns, required, further_columns)
        further = [name for name in self.header if name not in columns]
        table = pd.DataFrame(rows, columns=self.header, dtype=object)
        self.table = table.reindex(columns=[*columns, *further], fill_value="").astype(str)

    def _read(self, path):
        """Header, rows of equal length, and the line of the file where each ends; blank lines are skipped."""
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file")
        files.checked(path)
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                numbered = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: not a CSV file in UTF-8: {error}") from error
        if not numbered:
            raise InputError(f"{path}: the file is empty; its first line must name the columns")
        header = numbered[0][1]
        rows, lines = [], []
        for line, row in numbered[1:]:
            if len(row) != len(header):
                self.problem(line, f"{len(row)} cells, but the header has {len(header)}")
            else:
                rows.append(row)
                lines.append(line)
        return header, rows, np.array(lines, dtype=np.int64)

    def _check_header(self, columns, required, further_columns):
        """A wrong header ends the reading at once: nothing below it can be judged."""
        absent = [name for name in columns if name not in self.header]
        wrong = []
        for name in dict.fromkeys(self.header):
            near = difflib.get_close_matches(name.strip().lower(), absent, n=1)
            if self.header.count(name) > 1:
                wrong.append(f"column `{name}` appears {self.header.count(name)} times")
            elif name not in columns and near:
                wrong.append(f"unknown column `{name}`; did you mean `{near[0]}`?")
            elif name not in columns and not (further_columns and name):
                wrong.append(f"unknown column `{name}`; known: {', '.join(columns)}")
        wrong += [f"required column `{name}` is missing" for name in required if name in absent]
        if wrong:
            raise InputError("\n".join(f"{self.path}: row 1: {rule}" for rule in wrong))

    def problem(self, line, rule):
        self.problems.append((int(line), rule))

    def flag(self, bad, rule):
        """Note `rule(row)` for each row where `bad [n_rows]` is true."""
        for i in np.flatnonzero(bad):
            self.problem(self.lines[i], rule(self.table.iloc[i]))

    def finished(self):
        """The typed table, or one InputError with all problems in the order of the file."""
        if self.problems:
            listed = sorted(self.problems)
            text = [f"{self.path}: row {line}: {rule}" for line, rule in listed[:MAX_LINES]]
            if len(listed) > MAX_LINES:
                text.append(f"{self.path}: and {len(listed) - MAX_LINES} more problems")
            raise InputError("\n".join(text))
        return self.table

    def safe_name(self, column):
        cells = self.table[column]
        first = np.array([cell.startswith((".", "-")) for cell in cells], dtype=bool)
        bad = np.array([not SAFE_NAME.fullmatch(cell) for cell in cells], dtype=bool)
        self.flag(first, lambda row: f"{column} {row[column]!r} names files: no `.` or `-` comes first")
        self.flag(
            bad & ~first,
            lambda row: f"{column} {row[column]!r} names files: use letters, digits, `.`, `_`, `-` only",
        )

    def printable(self, column):
        """No line breaks, no control characters (a terminal obeys them)."""
        bad = [any(unicodedata.category(mark) in UNPRINTABLE for mark in cell) for cell in self.table[column]]
        self.flag(bad, lambda row: f"{column} {row[column]!r} holds control characters")

    def trimmed(self, column):
        cells = self.table[column]
        self.flag(cells != cells.str.strip(), lambda row: f"{column} {row[column]!r} has spaces around it")

    def one_of(self, column, allowed):
        known = ", ".join(f"`{value}`" for value in allowed if value)
        bad = ~self.table[column].isin(allowed)
        self.flag(bad, lambda row: f"{column} {row[column]!r} is unknown; known: {known}")

    def boolean(self, column):
        bad = ~self.table[column].isin(list(BOOLEANS))
        self.flag(bad, lambda row: f"{column} {row[column]!r} is not True or False")
        self.table[column] = self.table[column].map(BOOLEANS).fillna(False).astype(bool)

    def number(self, column, positive=False, required=False):
        """Finite float64; an empty cell is NaN, or a problem where the column is required."""
        cells = self.table[column]
        values = pd.to_numeric(cells.where(cells != "", "nan"), errors="coerce").astype(np.float64)
        bad = (required | (cells != "")) & ~np.isfinite(values)
        self.flag(bad, lambda row: f"{column} {row[column]!r} is not a finite number")
        if positive:
            self.flag(values <= 0, lambda row: f"{column} {row[column]} must be above 0")
        self.table[column] = values.where(~bad)

    def integer(self, column, minimum=0, required=False):
        """Int64; an empty cell is missing, or a problem where the column is required."""
        cells = self.table[column]
        values = pd.to_numeric(cells.where(cells != "", "nan"), errors="coerce").astype(np.float64)
        whole = np.isfinite(values) & (values == np.floor(values)) & (values.abs() < 2**53)
        bad = (required | (cells != "")) & ~whole
        self.flag(bad, lambda row: f"{column} {row[column]!r} is not a whole number")
        self.flag(whole & (values < minimum), lambda row: f"{column} {row[column]} is below {minimum}")
        self.table[column] = values.where(whole).astype("Int64")

    def intervals_inside(self, videos):
        """Known video, onset and offset whole and not negative, in order, within the video."""
        self.integer("onset", required=True)
        self.integer("offset", required=True)
        table = self.table
        self.flag(~table["video_id"].isin(videos["video_id"]), self._unknown_video)
        backwards = (table["offset"] < table["onset"]).fillna(False)
        self.flag(backwards, lambda row: f"offset {row.offset} lies before onset {row.onset}")
        n_frames = table["video_id"].map(dict(zip(videos["video_id"], videos["n_frames"], strict=True)))
        past = (table["offset"] >= n_frames.astype("Int64")).fillna(False)
        self.flag(
            past,
            lambda row: (
                f"offset {row.offset} is past the end of video {row.video_id!r}, "
                f"whose last frame is {n_frames[row.name] - 1}"
            ),
        )
        if not self.problems:
            self.table[["onset", "offset"]] = table[["onset", "offset"]].astype(np.int64)

    def apex_inside(self):
        """An apex, where there is one, lies between onset and offset."""
        table = self.table
        outside = ((table["apex"] < table["onset"]) | (table["apex"] > table["offset"])).fillna(False)
        self.flag(outside, lambda row: f"apex {row.apex} lies outside [{row.onset}, {row.offset}]")

    @staticmethod
    def _unknown_video(row):
        return f"unknown video {row.video_id!r}: not in the table of videos"

    def unique(self, columns, rule):
        """Flag every later row that repeats an earlier one in these columns; bad cells are no repetition."""
        complete = self.table[columns].notna().all(axis=1).to_numpy()
        keys = self.table[columns].astype(str).itertuples(index=False, name=None)
        first = {}
        for line, key, whole in zip(self.lines, keys, complete, strict=True):
            if whole and first.setdefault(key, line) != line:
                self.problem(line, f"{rule}: {', '.join(filter(None, key))} stands in row {first[key]} already")
