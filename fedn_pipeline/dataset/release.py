"""What a reader gives: the canonical tables of a release, and everything that was wrong with it.

Between the readers (casme2.py, casme3.py, samm.py, custom.py), which know one raw layout each, and stage.py, which
writes the tables. The traps that datasets.md lists are repaired whatever `dataset.strict` says; everything else is a
fault: an error in strict mode, all faults at once, else repaired or dropped. Either way a row of data_issues.csv.

One exception. Where a sheet has exactly the row counts of a known release, what is odd in a row is taken for the
owners' own, not for damage of this copy: it is repaired or kept, and recorded (`Problems.known_release`). That holds as
long as no row is lost, and never for a macro-expression's unknown emotion or for a frame that is no number.
"""

import difflib
import re
from dataclasses import dataclass, field

import pandas as pd

from fedn_pipeline.dataset import workbook
from fedn_pipeline.dataset.tables import EVENT_COLUMNS, VIDEO_COLUMNS
from fedn_pipeline.files import InputError

ISSUE_COLUMNS = ("video_id", "row", "rule", "before", "after")
MAX_LINES = 200  # problems listed in one message; the rest is counted
FRAMES_AFTER_APEX = 20  # missing_offset: apex_plus_20, at 30 fps (LGSNet, and so the paper's family)
APEX_RULE_FPS = 30
LAST_FRAME = 10**9  # a larger number is no frame
SPELLING_CUTOFF = 0.8  # likeness (difflib) from which a word is taken for a misspelt one
SENTENCES = {  # the rules of data_issues.csv as an error says them
    "onset_missing": "no onset is coded",
    "onset_before_first_frame": "the onset lies before the first frame",
    "offset_before_onset": "the offset lies before the onset",
    "not_a_frame_number": "a frame number is no whole number",
    "duplicate_row": "the row repeats an earlier one",
    "unknown_emotion": "unknown emotion",
    "emotion_spelling": "misspelt emotion",
    "emotion_missing": "no emotion",
    "unknown_clip": "the clip's name has no film code in the naming rule",
    "unknown_video": "the name of the video cannot be read",
    "unknown_subject": "unknown subject",
    "unknown_type": "the expression type is neither macro nor micro",
    "no_such_video_folder": "the annotations name a video that has no folder",
    "unusable_video": "the video cannot be used",
    "past_the_end": "the interval ends after the last frame of the video",
    "apex_outside": "the apex lies outside the interval",
    "shorter_than_a_frame": "the interval is shorter than one frame",
    "two_subjects": "a video of two subjects",
    "subject_spelling": "a subject is spelt in two ways",
    "unknown_column": "unknown column",
    "no_such_video": "no such video",
    "several_videos": "the name means several videos",
    "two_videos_with_one_id": "two videos with one id",
    "no_frame_rate": "a folder of images has no frame rate: set dataset.fps, or a column `fps` in videos.csv",
}


@dataclass
class Release:
    """A release as tables: `videos` (canonical columns and `first_number`), `events` (both expression types, every
    label set), `issues` (ISSUE_COLUMNS), and `notes`, sentences for the user.
    """

    videos: pd.DataFrame
    events: pd.DataFrame
    issues: pd.DataFrame
    notes: list[str] = field(default_factory=list)


@dataclass
class Event:
    """One annotated expression; frames 0-based and inclusive. `emotions`: {label set: emotion, "" if unknown}."""

    video_id: str
    subject: str
    onset: int
    apex: int | None
    offset: int
    expression_type: str
    emotions: dict
    sheet: workbook.Sheet
    row: int
    offset_filled: bool = False  # by missing_offset: it may lie past the end


@dataclass(frozen=True)
class Vocabulary:
    """The emotions of a label set; `aliases` {other spelling: emotion} need no repair, `typos` are a known trap."""

    emotions: tuple
    aliases: dict = field(default_factory=dict)
    typos: dict = field(default_factory=dict)

    def knows(self, cell):
        found = workbook.word(cell)
        return found in self.emotions or found in self.aliases or found in self.typos


class Problems:
    """Collects what is wrong; row numbers are those that a person sees in the sheet (the first is 1)."""

    def __init__(self, strict, known_release=False):
        self.strict = strict
        self.known_release = known_release
        self.n_lost = 0  # rows that a known release would lose, which shows that it is none
        self.issues = []
        self.lines = []
        self.faults = 0

    def repair(self, video_id, row, rule, before="", after=""):
        """A row of data_issues.csv: a known trap that was repaired."""
        self.issues.append((video_id, row, rule, str(before), str(after)))

    def fault(self, file, row, rule, video_id="", before="", after=""):
        """In strict mode a line of the error, else a row of data_issues.csv (and the caller repairs or drops).

        `rule` is a name such as `unknown_clip`, or a sentence of another check, recorded as `bad_row`.
        """
        named = re.fullmatch("[a-z_]+", rule)
        if self.strict:
            self.faults += 1
            sentence = SENTENCES.get(rule, rule.replace("_", " ") if named else rule)
            self.refuse(file, row, sentence + (f" ({before})" if before != "" else ""))
        elif named:
            self.repair(video_id, row, rule, before, after)
        else:
            self.repair(video_id, row, "bad_row", f"{rule} ({before})" if before != "" else rule, after)

    def irregular(self, file, row, rule, video_id="", before="", after=""):
        """What is odd in one row of annotations: recorded where the release is a known one, else a fault."""
        if self.known_release:
            self.n_lost += after == "dropped"
            self.repair(video_id, row, rule, before, after)
        else:
            self.fault(file, row, rule, video_id, before, after)

    def refuse(self, file, row, rule):
        """An error in any mode."""
        self.lines.append((workbook.one_line(file), 0 if row in (None, "") else int(row), workbook.one_line(rule)))

    def include(self, error):
        """The lines of an InputError of another check."""
        self.lines += [("", 0, line) for line in str(error).splitlines()]

    def check(self):
        """Raise InputError with every line collected so far, if there is any."""
        if not self.lines:
            return
        listed = sorted(self.lines, key=lambda line: line[:2])
        text = [(f"{file}: " if file else "") + (f"row {row}: " if row else "") + rule for file, row, rule in listed]
        text = text[:MAX_LINES]
        if len(self.lines) > MAX_LINES:
            text.append(f"and {len(self.lines) - MAX_LINES} more problems")
        if self.faults:
            text.append(
                "(dataset.strict: false repairs or drops faulty rows and videos, and lists them in data_issues.csv)"
            )
        raise InputError("\n".join(text))

    def table(self):
        """Everything recorded, as data_issues.csv has it."""
        return pd.DataFrame(self.issues, columns=ISSUE_COLUMNS, dtype=object)


def name_of(cell, sheet, row, problems):
    """A cell that becomes part of a name, as text; refused if it could be a path, a formula or a control sequence."""
    name = workbook.text(cell)
    if not name.startswith("=") and name.isprintable() and not re.search(r"[/\\]|^~", name):
        return name
    problems.refuse(sheet.file, row, f"{name[:60]!r} is no name: paths, formulas and control characters are refused")
    return ""


def emotion_of(cell, vocabulary, kind, place, problems):
    """The emotion that a cell means, in the vocabulary's spelling; "" if there is none.

    An unknown one of a micro-expression (`kind`) stays as it is in a known release; else it is a fault. place: `(sheet,
    row, video_id)`.
    """
    sheet, row, video_id = place
    found = workbook.word(cell)
    if found.startswith("=") or not found.isprintable():
        problems.refuse(sheet.file, row, f"{found[:60]!r} is no emotion: formulas and control characters are refused")
        return ""
    if found in workbook.EMPTY_WORDS:
        problems.irregular(sheet.file, row, "emotion_missing", video_id)
        return ""
    if found in vocabulary.emotions:
        return found
    if found in vocabulary.aliases:
        return vocabulary.aliases[found]
    if found in vocabulary.typos:
        problems.repair(video_id, row, "emotion_spelling", found, vocabulary.typos[found])
        return vocabulary.typos[found]
    near = difflib.get_close_matches(found, [*vocabulary.emotions, *vocabulary.aliases], n=1, cutoff=SPELLING_CUTOFF)
    if near:
        emotion = vocabulary.aliases.get(near[0], near[0])
        problems.irregular(sheet.file, row, "emotion_spelling", video_id, found, emotion)
        return emotion
    if problems.known_release and kind == "micro":
        problems.repair(video_id, row, "unknown_emotion", found, found)
        return found
    problems.fault(sheet.file, row, "unknown_emotion", video_id, found)
    return ""


def checked_row(cell, repeated, place, problems):
    """Expression type of a row by its type `cell`; None if the row is dropped: no type, or `repeated` (pasted twice).

    In a known release a repeated row stays.
    """
    sheet, row, video_id = place
    kind = type_of(cell)
    if kind is None:
        shown = repr(workbook.text(cell)[:60])
        problems.irregular(sheet.file, row, "unknown_type", video_id, shown, "dropped")
    if not repeated:
        return kind
    problems.irregular(sheet.file, row, "duplicate_row", video_id, "", "kept" if problems.known_release else "dropped")
    return kind if problems.known_release else None


def type_of(cell):
    """`macro` or `micro` from `Macro-expression`, `Micro - 1/2`, misspelt ones too; None if it is neither."""
    letters = re.sub(r"[^a-z]", "", workbook.word(cell))
    for kind in ("macro", "micro"):
        if letters.startswith(kind):
            return kind
    near = difflib.get_close_matches(letters, ["macroexpression", "microexpression"], n=1, cutoff=SPELLING_CUTOFF)
    return near[0][:5] if near else None


def interval_of(cells, place, problems, missing_offset, first_number, fps):
    """`(onset, apex or None, offset, offset_filled)` as 0-based frames; None if the row is dropped.

    cells: onset, apex, offset as they stand in the sheet, numbered from `first_number`. place: `(sheet, row,
    video_id)`. `missing_offset` as in the configuration. data_issues.csv shows the sheet's own numbers.
    """
    sheet, row, video_id = place
    onset, apex, offset = (_frame_number(cell, place, problems) for cell in cells)
    if apex == 0 and onset:
        problems.repair(video_id, row, "apex_not_coded", "apex 0")
        apex = None
    if onset is None:
        before = f"apex {_shown(apex)}, offset {_shown(offset)}"
        problems.irregular(sheet.file, row, "onset_missing", video_id, before, "dropped" if apex is None else apex)
        if apex is None:
            return None
        onset = apex
    if onset < first_number:
        problems.irregular(sheet.file, row, "onset_before_first_frame", video_id, f"onset {onset}", first_number)
        onset = first_number
    before = f"onset {onset}, apex {_shown(apex)}, offset {_shown(offset)}"
    filled = offset is None or offset <= 0 or offset < onset
    if filled:
        coded = offset is not None and offset > 0
        offset = _stand_in(onset, apex, missing_offset, fps)
        after = "dropped by dataset.missing_offset" if offset is None else f"offset {offset}"
        if coded:
            problems.irregular(sheet.file, row, "offset_before_onset", video_id, before, after)
        else:
            problems.repair(video_id, row, "missing_offset", before, after)
        if offset is None:
            return None
    if apex is not None and not onset <= apex <= offset:
        rule = "apex_before_onset" if apex < onset else "offset_before_apex"
        problems.repair(video_id, row, rule, before, "apex empty")
        apex = None
    return onset - first_number, None if apex is None else apex - first_number, offset - first_number, filled


def events_table(events):
    """Events as the canonical table: a row for each event and label set, in the order of the sheets."""
    rows = []
    for label_set in dict.fromkeys(name for event in events for name in event.emotions):
        for event in events:
            rows.append(
                {
                    "video_id": event.video_id,
                    "onset": event.onset,
                    "apex": event.apex,
                    "offset": event.offset,
                    "expression_type": event.expression_type,
                    "emotion": event.emotions[label_set],
                    "label_set": label_set,
                    "provenance": f"{event.sheet.path.name}:{event.sheet.name}:row {event.row}",
                }
            )
    table = pd.DataFrame(rows, columns=EVENT_COLUMNS)
    return table.astype({"onset": "int64", "apex": "Int64", "offset": "int64"})


def videos_table(rows):
    """Videos, given as dictionaries, as the canonical table with `first_number`; what is unknown is empty."""
    table = pd.DataFrame(rows, columns=[*VIDEO_COLUMNS, "first_number"])
    return table.astype(
        {"n_frames": "Int64", "fps": "float64", "width": "Int64", "height": "Int64", "first_number": "Int64"}
    )


def annotated_videos(events, source, first_number):
    """Rows of `videos_table` from the annotations alone, sorted; `source(event)`: where the frames would lie."""
    first = {}
    for event in events:
        first.setdefault(event.video_id, event)
    return [
        {
            "video_id": name,
            "subject": event.subject,
            "source": source(event),
            "kind": "frames",
            "first_number": first_number,
        }
        for name, event in sorted(first.items())
    ]


def overlapping_pairs(events):
    """Number of pairs of events of one video that share a frame."""
    pairs, by_video = 0, {}
    for event in events:
        others = by_video.setdefault(event.video_id, [])
        pairs += sum(event.onset <= other.offset and other.onset <= event.offset for other in others)
        others.append(event)
    return pairs


def _frame_number(cell, place, problems):
    """A frame number; None if the cell is empty or holds none. Words around one number are dropped, a fraction too."""
    sheet, row, video_id = place
    try:
        value = workbook.number(cell)
        if value is None or (value == int(value) and abs(value) <= LAST_FRAME):
            return None if value is None else int(value)
        read = int(value) if abs(value) <= LAST_FRAME else None
    except ValueError:
        digits = re.findall(r"(?<![\w.,])[0-9]+(?![\w.,])", workbook.text(cell))  # not of `3oo`
        read = int(digits[0]) if len(digits) == 1 and len(digits[0]) < len(str(LAST_FRAME)) else None
    report = problems.fault if read is None else problems.irregular
    report(sheet.file, row, "not_a_frame_number", video_id, repr(workbook.text(cell)[:60]), _shown(read))
    return read


def _stand_in(onset, apex, missing_offset, fps):
    """The offset that stands in for one that was not coded; None: the row is dropped."""
    base = onset if apex is None or apex < onset else apex
    after = round(FRAMES_AFTER_APEX * fps / APEX_RULE_FPS)
    return {"apex_plus_20": base + after, "apex": base, "drop": None}[missing_offset]


def _shown(value):
    return "empty" if value is None else value
