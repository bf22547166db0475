"""Read CAS(ME)^2: 22 subjects, 98 long videos at 30 fps, 300 macro- and 57 micro-expressions with two label sets.

One reader of stage `dataset`. The workbook `code_final` has no headers, the one called `info` has: columns are known
by header or content, so either serves. Files and annotations count from 1. A sheet with exactly 300 + 57 rows is the
known release: what is odd in one of its rows is the owners' own, is repaired or kept, recorded, and never refused.
Layout and traps: datasets.md; Qu et al., "CAS(ME)^2" (2018).
"""

import re

from fedn_pipeline.dataset import release, search, workbook
from fedn_pipeline.dataset.release import Vocabulary
from fedn_pipeline.files import InputError

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
STEM = re.compile(r"[a-z]+ ?[0-9]+")  # anger1
CODE = re.compile(r"([0-9]{3,4})(?![0-9]).*")  # 0401, whose leading zero is lost unless stored as text
SUBJECT_FOLDER = re.compile(r"s([0-9]+)", re.I)
VIDEO_FOLDER = re.compile(r"(?:[0-9]+_)?([0-9]{4})(?![0-9]).*")  # 15_0401girlcrashing
VIDEO_FILE = re.compile(VIDEO_FOLDER.pattern + r"\.(avi|mp4|mov|mkv|wmv)", re.I)
PICTURES = ("rawpic", "longvideofacecropped", "")  # in the path of a kind of pictures, best first
NOT_LONG_VIDEOS = {"selectedpic", "cropped"}  # single clips, in folders of the same names


def read(root, settings, annotations_only):
    """The release below `root` (its own folder, or one above). Raises InputError with every problem at once."""
    root, problems = search.check_root(root), release.Problems(settings["strict"])
    found, notes = search.annotations(root, NAMES, _find, KNOWN_COUNTS, "CAS(ME)^2 (CAS(ME)^2code_final.xlsx)")
    problems.known_release = found.counts in KNOWN_COUNTS
    events = _events(found, settings["missing_offset"], problems)
    notes.append(f"Pairs of expressions that share frames: {release.overlapping_pairs(events)}; they stay.")
    for labels in sorted(set(VOCABULARIES) - set(found.columns)):
        notes.append(f"The sheet has no column of {labels} emotions.")
    if annotations_only:
        rows = release.annotated_videos(events, _source, FIRST_NUMBER)
    else:
        from fedn_pipeline.dataset import placement

        folders = placement.unique_folders(_videos(root, problems), problems)
        rows, events = placement.place(root, folders, events, FIRST_NUMBER, FPS, problems)
    problems.check()
    return release.Release(release.videos_table(rows), release.events_table(events), problems.table(), notes)


def _find(sheet):
    """Annotations of a sheet, or None: clips, types and emotions are known by content, numbers by header or place."""
    top, columns = workbook.header(sheet.rows, HEADER, {"onset", "offset"})
    body = sheet.rows[0 if top is None else top + 1 :]
    types, clips = workbook.columns_of(body, release.type_of), workbook.columns_of(body, _clip_stem)
    if not types or not clips:
        return None
    numeric = workbook.columns_of(body, workbook.is_number)
    frames = [column for column in numeric if column > clips[0]][:3]
    left = [column for column in numeric if column < clips[0]]
    if top is None:
        columns = dict(zip(("onset", "apex", "offset"), frames, strict=False))
    if "subject" not in columns and left:
        columns["subject"] = left[-1]
    columns |= {"clip": clips[0], "type": types[0]} | _emotion_columns(body, {*numeric, types[0], clips[0]})
    if not {"subject", "onset", "apex", "offset"} <= set(columns) or not set(VOCABULARIES) & set(columns):
        return None
    return search.expressions(sheet, columns, len(sheet.rows) - len(body))


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


def _naming_rules(found):
    """`({subject number: folder}, {clip stem: film code})` from the other sheets of the workbook."""
    subjects, codes = {}, {}
    for sheet in found.book:
        for row in sheet.rows if sheet is not found.sheet else ():
            words = [workbook.word(cell) for cell in row if workbook.text(cell)]
            numbers = [int(workbook.number(cell)) for cell in row if workbook.is_number(cell)]
            folder = next((int(match[1]) for match in map(SUBJECT_FOLDER.fullmatch, words) if match), None)
            stem = next((one.replace(" ", "") for one in words if STEM.fullmatch(one)), None)
            code = next((match[1].zfill(4) for match in map(CODE.fullmatch, words) if match), None)
            if folder is not None and numbers:
                subjects[next((one for one in numbers if one != folder), folder)] = f"s{folder}"
            elif stem and code and folder is None:
                codes[stem] = code
    missing = [
        text for rule, text in ((subjects, "subjects (15, s15, 1)"), (codes, "films (0101, disgust1)")) if not rule
    ]
    if missing:
        raise InputError(f"{found.sheet.path}: no sheet with the naming rule of {' and of '.join(missing)}")
    return subjects, codes


def _events(found, missing_offset, problems):
    subjects, codes = _naming_rules(found)
    sheet, columns, events = found.sheet, found.columns, []
    repeated = release.repeated_rows(sheet, columns.values(), found.rows)
    for row in found.rows:
        cell = {name: sheet.rows[row - 1][column] for name, column in columns.items()}
        clip, number = (release.name_of(cell[one], sheet, row, columns[one], problems) for one in ("clip", "subject"))
        stem = _clip_stem(clip) or workbook.word(clip).split("_")[0]
        code = codes.get(stem)
        subject = subjects.get(int(number)) if number.isascii() and number.isdigit() else None
        subject = subject or (number.lower() if number.lower() in subjects.values() else None)
        video_id = f"{subject}_{code}" if subject and code else ""
        if not subject:
            problems.irregular(sheet.file, row, "unknown_subject", "", number, "dropped")
        if not code:
            code = re.sub("[^a-z0-9]", "", stem) if problems.known_release else None
            video_id = f"{subject}_{code}" if subject and code else ""
            problems.irregular(sheet.file, row, "unknown_clip", video_id, clip, video_id or "dropped")
        place = sheet, row, video_id
        kind = release.checked_row(cell["type"], repeated, place, problems)
        emotions = {
            labels: release.emotion_of(cell[labels], words, place, problems)
            for labels, words in VOCABULARIES.items()
            if labels in columns
        }
        frames = [cell[name] for name in ("onset", "apex", "offset")]
        interval = release.interval_of(frames, place, problems, missing_offset, FIRST_NUMBER, FPS)
        if kind and video_id and interval:
            *frames, filled = interval
            events.append(release.Event(video_id, subject, *frames, kind, emotions, sheet, row, filled))
    return events


def _source(event):
    """Where the frames of an event's video would lie; the film's name is known from the folder alone."""
    subject, code = event.video_id.split("_")
    return f"rawpic/{subject}/{subject[1:]}_{code}"


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
