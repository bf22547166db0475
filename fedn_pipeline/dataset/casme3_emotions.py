"""Join the emotions of CAS(ME)^3, which live in workbooks of their own, to the annotated expressions.

Second half of the reader casme3.py. Each sheet belongs to the expression type whose intervals it names; rows are
joined by subject, video and frames, as public code does, then by fewer of them. Layout: datasets.md.
"""

import re
from collections import defaultdict, deque
from dataclasses import dataclass

from fedn_pipeline.dataset import reading, release, search, workbook
from fedn_pipeline.files import InputError

NAMES = re.compile(r"label|emotion", re.I)  # workbooks so named must be readable; others are read if none of them fits
HEADER = {
    "subject": {"sub", "subject"},
    "clip": {"seq", "filename", "file name", "video"},
    "onset": {"onset"},
    "apex": {"apex"},
    "offset": {"offset"},
    "emotion": {"emotion", "emotions"},
}
VOCABULARY = release.Vocabulary(
    ("happiness", "surprise", "disgust", "anger", "fear", "sadness", "others"),
    {"happy": "happiness", "sad": "sadness", "other": "others", "angry": "anger", "surprised": "surprise"}
    | {"fearful": "fear", "disgusted": "disgust"},
)
# Which parts of a key (subject, clip, onset, apex, offset) must agree, strictest first.
AGREEMENTS = ((0, 1, 2, 3, 4), (0, 1, 2, 4), (0, 1, 2), (0, 1, 3), (0, 1, 4))


@dataclass
class Emotions:
    """The rows of one sheet: `keys`, `cells` and `rows` (a person's count), in its order; `columns` {name: index}."""

    sheet: workbook.Sheet
    columns: dict
    keys: list
    cells: list
    rows: list


def key(subject, clip, frames):
    """What names an expression in every workbook: subject's number, video's letter, onset, apex, offset as coded."""
    return (
        subject,
        workbook.word(clip),
        *(workbook.number(cell) if workbook.is_number(cell) else None for cell in frames),
    )


def join(annotations, events, keys, subject_number, problems):
    """Fill the emotions of `events`, whose `keys` are `key(...)`; sentences on what was found.

    annotations: search.Annotations of the main workbook. A joined workbook that lacks an expression is irregular.
    """
    found, notes = _emotion_sheets(annotations, subject_number)
    for kind in ("macro", "micro"):
        chosen = [i for i, event in enumerate(events) if event.expression_type == kind]
        ours = {keys[i][:3] for i in chosen}
        fits = [(sum(one[:3] in ours for one in sheet.keys), sheet) for sheet in found]
        fits = [(hits, sheet) for hits, sheet in fits if 2 * hits > len(sheet.keys)]
        if not fits:
            notes.append(f"No workbook with the emotions of {kind}-expressions: their emotion is empty.")
            continue
        best = max(fits, key=lambda fit: (fit[0], fit[1].sheet.path.name))[1]
        found.remove(best)
        notes.append(f"Emotions of {kind}-expressions: {best.sheet.path.name}, sheet {best.sheet.name}.")
        reading.refuse_formulas(best.sheet, set(best.columns.values()), best.rows[0], problems)
        notes += _fill([(events[i], keys[i]) for i in chosen], best, problems)
    if all("No workbook" in note for note in notes):
        notes.append(
            "Only spotting (model.recognition: false) is possible until the emotion workbooks are there "
            "(cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx and cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx)."
        )
    elif found:
        notes.append("Not used: " + ", ".join(sorted({one.sheet.path.name for one in found})) + ".")
    return notes


def _emotion_sheets(annotations, subject_number):
    """`(every sheet with subjects and emotions in the other workbooks, notes)`; those named so first."""
    others = [path for path in annotations.paths if path != annotations.sheet.path]
    named = [path for path in others if NAMES.search(path.name)]
    found, notes = [], []
    for path in named:
        try:
            here = _sheets(annotations.book(path), subject_number)
        except InputError as error:
            raise InputError(workbook.one_line(f"{error}; {search.REMOVE}")) from error
        found += here
        if not here:
            notes.append(f"{path.name}: no column of emotions was recognised in it.")
    for path in [path for path in others if path not in named] if not found else ():
        try:
            found += _sheets(annotations.book(path), subject_number)
        except InputError:  # somebody else's file, which happens to lie there
            continue
    return found, notes


def _sheets(book, subject_number):
    return [emotions for emotions in (_find(sheet, subject_number) for sheet in book) if emotions]


def _find(sheet, subject_number):
    """Emotions of a sheet, or None; columns by header, without one by content and order."""
    top, columns = workbook.header(sheet.rows, HEADER, {"clip", "onset", "offset"})
    body = sheet.rows[0 if top is None else top + 1 :]
    subjects, words = workbook.columns_of(body, subject_number), workbook.columns_of(body, VOCABULARY.knows)
    subject_column = subjects[0] if subjects else columns.get("subject")  # whose cells may be plain numbers
    if subject_column is None or not (words or "emotion" in columns):
        return None
    if top is None:
        numeric = [column for column in workbook.columns_of(body, workbook.is_number) if column > subject_column]
        columns = dict(zip(("clip", "onset", "apex", "offset"), [subject_column + 1, *numeric[:3]], strict=False))
    columns |= {"subject": subject_column, "emotion": columns.get("emotion", words[-1] if words else None)}
    if not {"onset", "apex", "offset"} <= set(columns):
        return None
    found = Emotions(sheet, columns, [], [], [])
    for number, row in enumerate(body, len(sheet.rows) - len(body) + 1):
        cell = row[columns["subject"]]
        subject = int(workbook.number(cell)) if workbook.is_number(cell) else subject_number(cell)
        if subject is not None:
            frames = [row[columns[name]] for name in ("onset", "apex", "offset")]
            found.keys.append(key(subject, row[columns["clip"]], frames))
            found.cells.append(row[columns["emotion"]])
            found.rows.append(number)
    return found if found.rows else None


def _fill(keyed_events, emotions, problems):
    """Give each event the emotion of its row: rows of one key in their order, each row once."""
    waiting, free = dict(enumerate(keyed_events)), dict(enumerate(emotions.keys))
    for parts in AGREEMENTS:
        rows = defaultdict(deque)
        for i, one in free.items():
            rows[tuple(one[part] for part in parts)].append(i)
        for j, (event, one) in list(waiting.items()):
            same = rows[tuple(one[part] for part in parts)]
            if same and (2 in parts or one[parts[-1]]):  # apex or offset 0 is none, and no sign of one expression
                i = same.popleft()
                del waiting[j], free[i]
                place = emotions.sheet, emotions.rows[i], event.video_id
                emotion = release.emotion_of(emotions.cells[i], VOCABULARY, event.expression_type, place, problems)
                event.emotions["annotated"] = emotion
                if len(parts) < len(AGREEMENTS[0]):
                    before, after = _shown(one), _shown(emotions.keys[i])
                    problems.repair(event.video_id, event.row, "emotion_joined_by_fewer_frames", before, after)
    for event, one in waiting.values():
        problems.irregular(
            event.sheet.file,
            event.row,
            "emotion_row_missing",
            event.video_id,
            f"{_shown(one)} in {emotions.sheet.path.name}",
        )
    return [f"{len(free)} rows of {emotions.sheet.path.name} name no annotated expression."] if free else []


def _shown(one):
    return " ".join("-" if frame is None else f"{frame:g}" for frame in one[2:])
