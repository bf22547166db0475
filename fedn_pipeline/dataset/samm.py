"""Read SAMM Long Videos: 32 subjects, 147 grey videos at 200 fps, spotting only (there is no column of emotions).

One reader of stage `dataset`. The header stands below some lines of title. Files and annotations count from 1.
Macro-expressions with onset 0 are extremely long: dropped, as published code does. Layout: datasets.md; row counts of
the release: Yap et al. (2020). A sheet that has them is the known release (release.py).
"""

import re

from fedn_pipeline.dataset import reading, release, search, workbook

FPS = 200
FIRST_NUMBER = 1
KNOWN_COUNTS = {(343, 159): "those of the release"}
NAMES = (r"samm.*long.*release", r"samm.*long", r"samm")
HEADER = {
    "clip": {"filename", "file name"},
    "onset": {"onset", "onset frame"},
    "apex": {"apex", "apex frame"},
    "offset": {"offset", "offset frame"},
    "type": {"type", "expression type"},
}
CLIP = re.compile(r"([0-9]{1,3})_([0-9]+)(?:_[0-9]+)?")  # subject_video_event
VIDEO_FOLDER = re.compile(r"([0-9]{3})_([0-9]+)")  # 006_1


def read(root, settings, annotations_only):
    """The release below `root`, as `reading.read` gives it."""
    what = "SAMM Long Videos (SAMM_LongVideos_V3_Release.xlsx)"
    layout = reading.Layout(what, NAMES, KNOWN_COUNTS, FPS, FIRST_NUMBER, _find, _events, _source, _videos)
    return reading.read(layout, root, settings, annotations_only)


def _find(sheet):
    """Annotations of a sheet, or None."""
    top, columns = workbook.header(sheet.rows, HEADER, set(HEADER))
    if top is None or columns["clip"] not in workbook.columns_of(sheet.rows[top + 1 :], _clip):
        return None
    return search.expressions(sheet, columns, top + 1)


def _clip(cell):
    """`(subject, video)` of `006_1_2`: 006 and 006_1; None for another text."""
    match = CLIP.fullmatch(workbook.text(cell).replace(" ", ""))
    return (match[1].zfill(3), f"{match[1].zfill(3)}_{int(match[2])}") if match else None


def _events(found, settings, annotations_only, problems):
    sheet, events = found.sheet, []
    for row, cell, repeated in reading.rows_of(found, problems):
        name = release.name_of(cell["clip"], sheet, row, problems)
        subject, video_id = _clip(name) or ("", "")
        place = sheet, row, video_id
        kind = release.checked_row(cell["type"], repeated, place, problems)
        if not video_id:
            problems.irregular(sheet.file, row, "unknown_video", "", name, "dropped")
        if kind == "macro" and workbook.is_number(cell["onset"]) and workbook.number(cell["onset"]) == 0:
            shown = f"onset 0, offset {workbook.text(cell['offset'])}"
            problems.repair(video_id, row, "extremely_long_macro", shown, "dropped")
            continue
        frames = [cell[one] for one in ("onset", "apex", "offset")]
        interval = release.interval_of(frames, place, problems, settings["missing_offset"], FIRST_NUMBER, FPS)
        if kind and video_id and interval:
            *within, filled = interval
            events.append(release.Event(video_id, subject, *within, kind, {"annotated": ""}, sheet, row, filled))
    return events, ["There are no emotions: only spotting (model.recognition: false) is possible."]


def _source(event):
    """Where the frames of an event's video would lie."""
    return f"SAMM_longvideos/{event.video_id}"


def _videos(root, problems):
    """`(video_id, subject, path)` of all folders of frames."""
    for parent in search.parents_of(root, VIDEO_FOLDER.fullmatch):
        names = [(VIDEO_FOLDER.fullmatch(path.name), path) for path in search.members(parent, VIDEO_FOLDER.fullmatch)]
        return [(f"{match[1]}_{int(match[2])}", match[1], path) for match, path in names]
    problems.refuse(root, None, "no videos found (006_1/...); --annotations-only reads the annotations without them")
    return []
