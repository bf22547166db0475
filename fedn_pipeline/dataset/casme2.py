"""Read CAS(ME)^2: 22 subjects, 98 long videos at 30 fps, 300 macro- and 57 micro-expressions with two label sets.

One reader of stage `dataset`. The workbook `code_final` has no headers, the one called `info` has: columns are known
by header or content, so either serves. Files and annotations count from 1. A sheet with exactly 300 + 57 rows is the
known release (release.py). Where the naming rules lack a subject or a film, and there is no frame to be found by them,
its name in the sheet stands in. Layout and traps: datasets.md; Qu et al., "CAS(ME)^2" (2018).
"""

import re

from fedn_pipeline.dataset import reading, release, search, workbook
from fedn_pipeline.dataset.casme2_names import SUBJECT_FOLDER, naming_rules, subject_word
from fedn_pipeline.dataset.release import Vocabulary

FPS = 30
FIRST_NUMBER = 1
KNOWN_COUNTS = {(300, 57): "those of the release"}  # (macro, micro) rows of the sheet
NAMES = (r"code_?\W*final", r"me\W*2\W*info")  # of the workbook, best first
VOCABULARIES = {
    "annotated": Vocabulary(("positive", "negative", "surprise", "others"), {"other": "others"}),
    "self_reported": Vocabulary(
        ("happiness", "surprise", "disgust", "anger", "fear", "sadness", "helpless", "confused", "pain", "sympathy"),
        {
            "happy": "happiness",
            "surprised": "surprise",
            "disgusted": "disgust",
            "angry": "anger",
            "fearful": "fear",
            "sad": "sadness",
            "helplessness": "helpless",
            "confusion": "confused",
            "painful": "pain",
        },
        {"happyiness": "happiness"},
    ),
}
HEADER = {
    "subject": {"sub", "subject"},
    "onset": {"onset", "onset frame", "onsetframe"},
    "apex": {"apex", "apex frame", "apexframe"},
    "offset": {"offset", "offset frame", "offsetframe"},
}
CLIP = re.compile(r"([a-z]+ ?[0-9]+) ?[_-] ?[0-9]+")  # anger1_1
N_SUBJECTS = 22
VIDEO_FOLDER = re.compile(r"(?:[0-9]+_)?([0-9]{4})(?![0-9]).*")  # 15_0401girlcrashing
VIDEO_FILE = re.compile(VIDEO_FOLDER.pattern + r"\.(avi|mp4|mov|mkv|wmv)", re.I)
PICTURES = ("rawpic", "longvideofacecropped", "")  # in the path of a kind of pictures, best first
NOT_LONG_VIDEOS = {"selectedpic", "cropped"}  # single clips, in folders of the same names


def read(root, settings, annotations_only):
    """The release below `root` (its own folder, or one above), as `reading.read` gives it."""
    what = "CAS(ME)^2 (CAS(ME)^2code_final.xlsx)"
    layout = reading.Layout(what, NAMES, KNOWN_COUNTS, FPS, FIRST_NUMBER, _find, _events, _source, _videos)
    return reading.read(layout, root, settings, annotations_only)


def _find(sheet):
    """Annotations of a sheet, or None: clips, types and emotions are known by content, numbers by header or place."""
    top, columns = workbook.header(sheet.rows, HEADER, {"onset", "offset"})
    body = sheet.rows[0 if top is None else top + 1 :]
    types, clips = workbook.columns_of(body, release.type_of), workbook.columns_of(body, _clip_stem)
    if not types or not clips:
        return None
    numeric = workbook.columns_of(body, workbook.is_number)
    frames = [column for column in numeric if column > clips[0]][:3]
    if top is None:
        columns = dict(zip(("onset", "apex", "offset"), frames, strict=False))
    if "subject" not in columns:
        columns |= _subject_column([row[: clips[0]] for row in body])
    columns |= {"clip": clips[0], "type": types[0]} | _emotion_columns(body, {*numeric, types[0], clips[0]})
    if not {"subject", "onset", "apex", "offset"} <= set(columns) or not set(VOCABULARIES) & set(columns):
        return None
    return search.expressions(sheet, columns, len(sheet.rows) - len(body))


def _subject_column(left):
    """`{"subject": column}` of the rows left of the clips: the one that holds subjects' numbers or folders; {} if none.

    Of several, one that does not merely count the rows, then by fitting cells, by values, the last. Where none fits,
    the last one of numbers, whose cells will be refused one by one.
    """
    scores = {}
    for column in workbook.columns_of(left, _is_subject):
        cells = [subject_word(row[column]) for row in left if workbook.text(row[column])]
        numbers = [int(cell) for cell in cells if cell.isdecimal()]
        counted = len(numbers) > 1 and numbers == list(range(numbers[0], numbers[0] + len(cells)))
        scores[column] = not counted, sum(map(_is_subject, cells)) / len(cells), len(set(cells)), column
    best = max(scores, key=scores.get, default=next(reversed(workbook.columns_of(left, workbook.is_number)), None))
    return {} if best is None else {"subject": best}


def _is_subject(cell):
    word = subject_word(cell)
    return bool(SUBJECT_FOLDER.fullmatch(word)) or (word.isdecimal() and 1 <= int(word) <= N_SUBJECTS)


def _emotion_columns(body, taken):
    """{label set: column}: the column that fits this vocabulary best and the other one least."""
    scores = {}
    for column in set(range(len(body[0]))) - taken:
        cells = [row[column] for row in body if workbook.text(row[column])]
        known = [sum(map(words.knows, cells)) for words in VOCABULARIES.values()]
        if 2 * max(known) >= max(len(cells), 1):
            scores[column] = (known[0] - known[1]) / len(cells)
    chosen = {}
    for labels, sign in zip(VOCABULARIES, (1, -1), strict=True):
        free = [column for column in sorted(scores) if column not in chosen.values()]
        if free and (len(scores) > 1 or sign * scores[free[0]] >= 0):
            chosen[labels] = max(free, key=lambda column: sign * scores[column])
    return chosen


def _clip_stem(cell):
    """`anger1` of `anger1_1`; None for another text."""
    match = CLIP.fullmatch(workbook.word(cell))
    return match[1].replace(" ", "") if match else None


def _events(found, settings, annotations_only, problems):
    subjects, codes = naming_rules(found, _find, problems)
    sheet, events, lacking = found.sheet, [], set()
    named = ((subjects, "subjects (`naming rule1`: 15, s15, 1)"), (codes, "films (`naming rule2`: 0101, disgust1)"))
    missing = " and of ".join(text for rule, text in named if not rule)
    if missing and not annotations_only:
        problems.refuse(sheet.path, None, f"no sheet with the naming rule of {missing}, here or in another workbook")
        problems.check()
    for row, cell, repeated in reading.rows_of(found, problems):
        clip, number = (release.name_of(cell[one], sheet, row, problems) for one in ("clip", "subject"))
        number, stem = subject_word(number), _clip_stem(clip) or workbook.word(clip).split("_")[0]
        subject = subjects.get(number) or (number if number in subjects.values() else "")
        names = []
        for rule, name, stand_in, fault, shown in (
            (subjects, subject, _folder_stand_in(number), "unknown_subject", number),
            (codes, codes.get(stem), re.sub("[^a-z0-9]", "", stem), "unknown_clip", clip),
        ):
            if not name:
                name = stand_in if problems.known_release or not rule else ""
                if rule or not name:
                    problems.irregular(sheet.file, row, fault, "", shown, name or "dropped")
                    lacking.add(name)
            names.append(name)
        video_id = "_".join(names) if all(names) else ""
        place = sheet, row, video_id
        kind = release.checked_row(cell["type"], repeated, place, problems)
        emotions = {
            labels: release.emotion_of(cell[labels], words, kind, place, problems)
            for labels, words in VOCABULARIES.items()
            if labels in cell
        }
        frames = [cell[name] for name in ("onset", "apex", "offset")]
        interval = release.interval_of(frames, place, problems, settings["missing_offset"], FIRST_NUMBER, FPS)
        if kind and video_id and interval:
            *within, filled = interval
            events.append(release.Event(video_id, names[0], *within, kind, emotions, sheet, row, filled))
    notes = [f"The sheet has no column of {labels} emotions." for labels in VOCABULARIES if labels not in found.columns]
    if missing:
        notes.append(f"No sheet with the naming rule of {missing}: videos are named after the sheet alone.")
    if any(lacking):
        notes.append(f"Not in the naming rules, so named after the sheet: {', '.join(sorted(filter(None, lacking)))}.")
    return events, notes


def _folder_stand_in(number):
    """A subject's name where the naming rule lacks it; "" if it is neither a number nor a folder."""
    return number if SUBJECT_FOLDER.fullmatch(number) else f"subject{number}" if number.isdecimal() else ""


def _source(event):
    """Where the frames of an event's video would lie; the film's name is known from the folder alone."""
    subject, code = event.video_id.split("_")
    folder = SUBJECT_FOLDER.fullmatch(subject)
    return f"rawpic/{subject}/{folder[1]}_{code}" if folder else f"rawpic/{subject}/{code}"


def _videos(root, problems):
    """`(video_id, subject, path)` of all long videos: folders of frames of the best kind there is, else video files."""
    parents = []
    for path in search.parents_of(root, SUBJECT_FOLDER.fullmatch):
        words = [part.lower() for part in (root.name, *path.relative_to(root).parts)]
        if not NOT_LONG_VIDEOS & set(words):
            parents.append((next(i for i, kind in enumerate(PICTURES) if kind in " ".join(words)), path))
    for pattern, files in ((VIDEO_FOLDER, False), (VIDEO_FILE, True)):
        for _, parent in sorted(parents):
            videos = []
            for folder in search.members(parent, SUBJECT_FOLDER.fullmatch):
                subject = folder.name.lower()
                for path in search.members(folder, pattern.fullmatch, files):
                    videos.append((f"{subject}_{pattern.fullmatch(path.name)[1]}", subject, path))
            if videos:
                return videos
    problems.refuse(
        root,
        None,
        "no long videos found (rawpic/s15/15_0401...); --annotations-only reads the annotations without them",
    )
    return []
