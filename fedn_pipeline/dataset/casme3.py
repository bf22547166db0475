"""Read CAS(ME)^3 Part A: 100 subjects, 1300 videos at 30 fps, 3346 macro- and 860 micro-expressions (version 2).

One reader of stage `dataset`. Annotations, and two further workbooks with the emotions (casme3_emotions.py), without
which only spotting is possible. A frame is the number in its file's name (from 0). A sheet with exactly the row counts
of version 2 or 1 is the known release (release.py). Layout and traps: datasets.md; Li et al., "CAS(ME)^3" (2022).
"""

import re

from fedn_pipeline.dataset import casme3_emotions, reading, release, search, workbook

FPS = 30
FIRST_NUMBER = 0
KNOWN_COUNTS = {(3346, 860): "those of version 2", (3285, 921): "those of version 1 (version 2 has 3346 and 860)"}
NAMES = (r"part\W?_?a(?!.*(label|emotion)).*v2", r"part\W?_?a(?!.*(label|emotion))")  # of the workbook, best first
HEADER = {
    "subject": {"subject", "sub"},
    "clip": {"filename", "file name", "seq", "video", "clip"},
    "onset": {"onset"},
    "apex": {"apex"},
    "offset": {"offset"},
}
SUBJECT = re.compile(r"sp ?no[._ ]*0*([0-9]+)", re.I)  # spNO.1, of folders also spNo.1
CLIP = re.compile(r"[a-z]", re.I)


def read(root, settings, annotations_only):
    """The release below `root` (part_A, or a folder above), as `reading.read` gives it."""
    what = "CAS(ME)^3 Part A (CAS(ME)3_part_A_v2.xls)"
    layout = reading.Layout(what, NAMES, KNOWN_COUNTS, FPS, FIRST_NUMBER, _find, _events, _source, _videos)
    return reading.read(layout, root, settings, annotations_only)


def subject_number(cell):
    """1 of `spNO.1`, whatever its case; None for another text."""
    match = SUBJECT.fullmatch(workbook.text(cell))
    return int(match[1]) if match else None


def _find(sheet):
    """Annotations of a sheet, or None: subjects and types are known by content, the rest by header or place."""
    top, columns = workbook.header(sheet.rows, HEADER, {"onset", "offset", "clip"})
    body = sheet.rows[0 if top is None else top + 1 :]
    subjects, types = workbook.columns_of(body, subject_number), workbook.columns_of(body, release.type_of)
    if not subjects or not types:
        return None
    if top is None:
        right = [column for column in workbook.columns_of(body, workbook.is_number) if column > subjects[0]]
        clips = [column for column in workbook.columns_of(body, _is_clip) if column > subjects[0]]
        columns = dict(zip(("clip", "onset", "apex", "offset"), clips[:1] + right[:3], strict=False))
    columns |= {"subject": subjects[0], "type": types[0]}
    if not {"clip", "onset", "apex", "offset"} <= set(columns):
        return None
    return search.expressions(sheet, columns, len(sheet.rows) - len(body))


def _is_clip(cell):
    return CLIP.fullmatch(workbook.text(cell))


def _events(found, settings, annotations_only, problems):
    sheet, events, keys = found.sheet, [], []
    for row, cell, repeated in reading.rows_of(found, problems):
        subject, clip = (release.name_of(cell[one], sheet, row, problems) for one in ("subject", "clip"))
        number = subject_number(subject)
        readable = number is not None and _is_clip(clip)
        video_id = f"spNO.{number}_{clip.lower()}" if readable else ""
        if not readable:
            problems.irregular(sheet.file, row, "unknown_video", "", f"{subject} {clip}", "dropped")
        elif clip != clip.lower():
            problems.repair(video_id, row, "video_letter_case", clip, clip.lower())
        place, frames = (sheet, row, video_id), [cell[name] for name in ("onset", "apex", "offset")]
        kind = release.checked_row(cell["type"], repeated, place, problems)
        interval = release.interval_of(frames, place, problems, settings["missing_offset"], FIRST_NUMBER, FPS)
        if kind and video_id and interval:
            *within, filled = interval
            events.append(
                release.Event(video_id, f"spNO.{number}", *within, kind, {"annotated": ""}, sheet, row, filled)
            )
            keys.append(casme3_emotions.key(number, clip, frames))
    notes = casme3_emotions.join(found, events, keys, subject_number, problems)
    return events, _blinks(found.book(sheet.path)) + notes


def _blinks(book):
    """A sentence on the sheet of eye blinks, if there is one."""
    blinks = [sheet for sheet in book if "blink" in workbook.word(sheet.name)]
    counts = [sum(any(map(workbook.is_number, row)) for row in sheet.rows) for sheet in blinks]
    return [f"Sheet {blinks[0].name}: {counts[0]} blinks, not used as events."] if blinks else []


def _source(event):
    """Where the frames of an event's video would lie."""
    subject, clip = event.video_id.rsplit("_", 1)
    return f"part_A/{subject}/{clip}/color"


def _videos(root, problems):
    """`(video_id, subject, path)` of all videos of Part A; colour pictures where there are also depths."""
    parents = search.parents_of(root, SUBJECT.fullmatch)
    parents.sort(key=lambda path: "part_a" not in str(path).lower())
    for parent in parents:
        videos = []
        for folder in search.members(parent, SUBJECT.fullmatch):
            subject = f"spNO.{subject_number(folder.name)}"
            for path in search.members(folder, CLIP.fullmatch):
                color = search.members(path, re.compile("color", re.I).fullmatch)
                videos.append((f"{subject}_{path.name.lower()}", subject, color[0] if color else path))
        if videos:
            return videos
    problems.refuse(
        root, None, "no videos found (part_A/spNO.1/a/color); --annotations-only reads the annotations without them"
    )
    return []
