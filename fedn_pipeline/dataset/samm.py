"""Read SAMM Long Videos: 32 subjects, 147 grey videos at 200 fps, spotting only (there is no column of emotions).

One reader of stage `dataset`. The header stands below some lines of title. Files and annotations count from 1.
Macro-expressions with onset 0 are extremely long: dropped, as published code does. Layout: datasets.md; row counts of
the release: Yap et al. (2020). A sheet that has them is the known release, whose oddities are recorded, not refused.
"""

import re

from fedn_pipeline.dataset import release, search, workbook

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
    """The release below `root` (its own folder, or one above). Raises InputError with every problem at once."""
    root, problems = search.check_root(root), release.Problems(settings["strict"])
    what = "SAMM Long Videos (SAMM_LongVideos_V3_Release.xlsx)"
    found, notes = search.annotations(root, NAMES, _find, KNOWN_COUNTS, what)
    problems.known_release = found.counts in KNOWN_COUNTS
    events = _events(found, settings["missing_offset"], problems)
    notes.append("There are no emotions: only spotting (model.recognition: false) is possible.")
    if annotations_only:
        rows = release.annotated_videos(events, lambda event: f"SAMM_longvideos/{event.video_id}", FIRST_NUMBER)
    else:
        from fedn_pipeline.dataset import placement

        folders = placement.unique_folders(_videos(root, problems), problems)
        rows, events = placement.place(root, folders, events, FIRST_NUMBER, FPS, problems)
    problems.check()
    return release.Release(release.videos_table(rows), release.events_table(events), problems.table(), notes)


def _find(sheet):
    """Annotations of a sheet, or None."""
    top, columns = workbook.header(sheet.rows, HEADER, set(HEADER))
    if top is None or columns["clip"] not in workbook.columns_of(sheet.rows[top + 1 :], _clip):
        return None
    return search.expressions(sheet, columns, top + 1)


def _clip(cell):
    """`(subject, video)` of `006_1_2`: 006 and 006_1; None for another text."""
    match = CLIP.fullmatch(workbook.text(cell))
    return (match[1].zfill(3), f"{match[1].zfill(3)}_{int(match[2])}") if match else None


def _events(found, missing_offset, problems):
    sheet, columns, events = found.sheet, found.columns, []
    repeated = release.repeated_rows(sheet, columns.values(), found.rows)
    for row in found.rows:
        cell = {name: sheet.rows[row - 1][column] for name, column in columns.items()}
        name = release.name_of(cell["clip"], sheet, row, columns["clip"], problems)
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
        interval = release.interval_of(frames, place, problems, missing_offset, FIRST_NUMBER, FPS)
        if kind and video_id and interval:
            *within, filled = interval
            events.append(release.Event(video_id, subject, *within, kind, {"annotated": ""}, sheet, row, filled))
    return events


def _videos(root, problems):
    """`(video_id, subject, path)` of all folders of frames."""
    for parent in search.parents_of(root, VIDEO_FOLDER.fullmatch):
        names = [(VIDEO_FOLDER.fullmatch(path.name), path) for path in search.members(parent, VIDEO_FOLDER.fullmatch)]
        return [(f"{match[1]}_{int(match[2])}", match[1], path) for match, path in names]
    problems.refuse(root, None, "no videos found (006_1/...); --annotations-only reads the annotations without them")
    return []
