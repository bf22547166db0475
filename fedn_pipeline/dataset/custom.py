"""Your own videos: any folder of video files, folders of numbered images, and folders `NAME_aligned` of OpenFace.

Reader `custom` (docs/datasets.md): finds the videos below the root, measures them, and reads videos.csv and events.csv
where they are there (custom_tables.py), or ELAN's files (custom_elan.py). Everything is checked before anything is
computed. A video file is decoded once, by the faces stage's own `axis.of_file`, since only that tells how many frames
there will be, and when each is shown: the second place where this stage imports `faces/`.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd
from tqdm import tqdm

from fedn_pipeline import intervals
from fedn_pipeline.annotations import elan
from fedn_pipeline.dataset import custom_elan, custom_tables, frames, release, search, tables
from fedn_pipeline.faces import axis
from fedn_pipeline.files import InputError

FEWEST_IMAGES = 2  # in a folder that is a video
ALIGNED = "_aligned"  # OpenFace's name for the folder of a video's aligned faces
OURS = {"videos.csv", "events.csv", "data_issues.csv"}  # a folder with these was made by this stage
DETECTED, CROPS = "detections.json", "faces"  # a folder with this file was made by `detect`, its crops are no videos
UNKNOWN_SUBJECT = "unknown"
FACTS = ("kind", "n_frames", "fps", "width", "height", "first_number")


@dataclass
class Found:
    """A video below the root: a file or a folder. `path` is relative to the root; facts are 0 until measured."""

    video_id: str
    path: Path
    kind: str
    aligned: bool = False  # OpenFace's aligned faces, numbered from 1
    first_number: int | None = None
    n_frames: int = 0
    fps: float = 0
    width: int = 0
    height: int = 0
    undecodable: bool = False  # the faces stage will leave it out
    aliases: list[str] = field(default_factory=list)  # further names that the tables use
    timed: axis.Axis | None = None  # of a file that can be decoded

    @property
    def axis(self):
        """Its time axis; of a length, or even a rate, that is not known where nothing was measured."""
        return self.timed or axis.Axis(self.n_frames or None, self.fps)


def read(root, settings, annotations_only=False):
    """A folder of the user's own videos as release.Release, with a further column `split` in videos.csv.

    `settings` is the section `dataset`. `split` is `train` for videos with events and `predict` for the others, unless
    the user's videos.csv says. Raises InputError with every problem at once.
    """
    root, problems, notes = search.check_root(root), release.Problems(settings["strict"]), []
    events_path, videos_path, elan_paths = root / "events.csv", root / "videos.csv", []
    if annotations_only:
        found = _unique(_named(events_path, videos_path, settings["fps"]), root, problems)
    else:
        found, elan_paths = _discovered(root, notes)
        found = _unique(found, root, problems)
    names = _names(found)
    given = custom_tables.read_videos(videos_path, names, problems)
    if not annotations_only:
        found = _measured(found, root, settings["fps"], given, problems)
    axes = {item.video_id: item.axis for item in found}
    if elan_paths and events_path.is_file():
        shown = f"{len(elan_paths)} file(s) of ELAN (the first: {elan_paths[0].as_posix()})"
        problems.refuse(events_path, None, f"there are also {shown}: which are the labels? Move the others away")
        elan_paths = []
    if elan_paths:
        events, subjects = custom_elan.read_events(root, elan_paths, names, axes, problems, notes)
    else:
        events, subjects = custom_tables.read_events(events_path, names, axes, problems)
    for item in found:
        if item.undecodable:  # as long as its events need, for nothing else is known
            item.n_frames = 1 + int(events.offset[events.video_id == item.video_id].to_numpy().max(initial=0))
    videos = _videos(found, root, given, subjects, set(events["video_id"]), problems)
    problems.check()
    notes += _notes(videos, events, elan_paths or events_path.is_file())
    return release.Release(videos, events, problems.table(), notes)


def videos_in(root, settings):
    """The videos below a folder that can be decoded, as list of Found; annotations are not looked at.

    `settings` is the section `dataset`. Raises InputError with every problem at once.
    """
    root, problems = search.check_root(root), release.Problems(settings["strict"])
    found = _unique(_discovered(root, [])[0], root, problems)
    given = custom_tables.read_videos(root / "videos.csv", _names(found), problems)
    found = _measured(found, root, settings["fps"], given, problems)
    problems.check()
    return [item for item in found if item.n_frames]


def files_in(root, but):
    """`[(video_id, path below the root)]` of the video files below a folder, named as `read` names them, by path.

    None below the folder `but`, if that lies inside `root`. No name is refused here, and some may be there twice.
    """
    inside = root.resolve() in but.resolve().parents
    found = _discovered(root, [])[0]
    found = [item for item in found if not (inside and but.resolve() in (root / item.path).resolve().parents)]
    named = _unique(found, root, release.Problems(strict=False))
    return [(item.video_id, item.path) for item in named if item.kind == "video"]


def _names(found):
    names = custom_tables.Names()
    for item in found:
        for path in (item.path, *item.aliases):
            names.add(item.video_id, path)
    return names


def _discovered(root, notes):
    """`(videos, annotations)`: every video and every file of ELAN below the root, sorted by path.

    Hidden files and folders, this project's own, and the crops that `detect` wrote are left out.
    """
    found, annotations, seen = [], [], {os.path.realpath(root)}
    for folder, folders, names in os.walk(root, followlinks=True):
        here = Path(folder).relative_to(root)
        if here.parts and set(names) >= OURS:
            folders.clear()
            continue
        # Links may lead in circles: each real folder is entered once.
        folders[:] = sorted(
            name
            for name in folders
            if not (name.startswith(".") or (name == CROPS and DETECTED in names))
            and _new(os.path.join(folder, name), seen)
        )
        files = [name for name in names if _is_video(name)]
        found += [Found("", here / name, "video") for name in files]
        annotations += [here / name for name in names if name.lower().endswith(elan.SUFFIX) and name[0] != "."]
        n_images = sum(frames.image_number(name) is not None for name in names)
        aligned = here.name.endswith(ALIGNED) and n_images
        if aligned or (n_images >= FEWEST_IMAGES and not files):
            found.append(Found("", here, "frames", bool(aligned)))
    for item in found:
        item.video_id = custom_tables.safe(_stem(item) or root.resolve().name)
    found = _without_processed(sorted(found, key=lambda item: item.path.as_posix()), notes)
    return found, sorted(annotations)


def _is_video(name):
    return name.lower().endswith(search.VIDEO_SUFFIXES) and not name.startswith(".")


def _new(folder, seen):
    """Whether this folder, wherever links lead, has not been met."""
    real = os.path.realpath(folder)
    new = real not in seen
    seen.add(real)
    return new


def _without_processed(found, notes):
    """OpenFace's aligned faces are used where the video is gone; beside their video they are left out."""
    originals = {item.video_id for item in found if not item.aligned}
    kept = [item for item in found if not item.aligned or item.video_id not in originals]
    if len(kept) < len(found):
        notes.append(
            f"folders `*{ALIGNED}` of OpenFace left out because their videos are there too: {len(found) - len(kept)}"
        )
    return kept


def _unique(found, root, problems):
    """Checked names. Videos with one id are a fault and get their folders' names too; changed names are recorded."""
    if not found:
        problems.refuse(root, None, "no videos: no video files and no folders of numbered images")
    by_id = {}
    for item in found:
        why = custom_tables.hostile(item.path.as_posix())
        if why:
            problems.refuse(root, None, f"the name of {item.path.as_posix()!r} {why}: rename it")
        elif _stem(item) and item.video_id != _stem(item):
            problems.repair(item.video_id, "", "name_made_safe", _stem(item), item.video_id)
        by_id.setdefault(item.video_id, []).append(item)
    for video_id, several in by_id.items():
        if len(several) > 1:
            paths = [item.path.as_posix() for item in several]
            for item in several:
                item.video_id = custom_tables.safe("_".join([*item.path.parts[:-1], _stem(item)]))
            if len({item.video_id for item in several}) < len(several):
                for item in several:
                    item.video_id = custom_tables.safe("_".join(item.path.parts))
            after = ", ".join(item.video_id for item in several)
            before = f"{video_id}: {', '.join(paths)}; rename one"
            problems.fault(root, None, "two_videos_with_one_id", video_id, before, after)
    if len({item.video_id for item in found}) < len(found) and not problems.strict:
        problems.refuse(root, None, "two videos with one id even with their folders' names: rename them")
    return found


def _stem(item):
    """The name from which a video's id is made."""
    return item.path.stem if item.kind == "video" else item.path.name.removesuffix(ALIGNED)


def _named(events_path, videos_path, fps):
    """The videos that the tables name, where the videos themselves are not looked for."""
    if not events_path.is_file():
        raise InputError(f"{events_path}: no such file; --annotations-only reads nothing else")
    paths = {}
    for table in (events_path, videos_path):
        for name in custom_tables.names_in(table) if table.is_file() else ():
            path = PurePosixPath(name)
            path = path.with_suffix("") if _is_video(path.name) else path
            item = paths.setdefault(path, Found(custom_tables.safe(path.name), path, "", fps=fps or 0))
            item.aliases.append(name)
    return [paths[path] for path in sorted(paths)]


def _measured(found, root, fps, given, problems):
    """The usable videos with their facts; the others are faults."""
    files = [item for item in found if item.kind == "video"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        probed = pool.map(lambda item: _probed(root / item.path), files)
        probed = tqdm(probed, "videos", len(files), unit="video", disable=not files)
        for item, measured in zip(files, probed, strict=True):
            _note_file(item, root, measured, fps, given, problems)
    for aligned in (False, True):
        folders = {item.video_id: item for item in found if item.kind == "frames" and item.aligned == aligned}
        paths = {video_id: root / item.path for video_id, item in folders.items()}
        surveys = frames.survey(paths, first_number=1 if aligned else None) if paths else {}
        for video_id, survey in surveys.items():
            _note_folder(folders[video_id], root, survey, (given.get(video_id, {}).get("fps"), fps), problems)
    usable = [item for item in found if item.n_frames]
    if found and not usable and not problems.lines:
        problems.refuse(root, None, "none of the videos can be decoded")
    return [item for item in found if item.n_frames or item.undecodable]


def _probed(path):
    try:
        return axis.of_file(path)
    except InputError as error:
        return error


def _note_file(item, root, measured, fps, given, problems):
    """Take over what `axis.of_file` found."""
    if isinstance(measured, InputError):
        rates = given.get(item.video_id, {}).get("fps"), fps
        return _note_undecodable(item, str(measured).removeprefix(f"{root / item.path}: "), rates, problems)
    info, item.timed = measured
    item.n_frames, item.fps, item.width, item.height = info.n_frames, info.fps, info.width, info.height
    for warning in info.warnings():
        problems.repair(item.video_id, "", "damaged_video", warning, f"{info.n_frames} frames")
    for warning in item.timed.warnings:
        problems.repair(item.video_id, "", "time_stamps", warning, f"{info.fps:g} fps")


def _note_undecodable(item, why, rates, problems):
    """One broken video does not stop the others: it stays in the tables, so that its expressions count as missed, at
    the frame rate that the user gives, or else the features' own."""
    item.undecodable, item.width, item.height = True, None, None
    item.fps = rates[0] or rates[1] or intervals.FEATURE_FPS
    problems.repair(item.video_id, "", "undecodable_video", why, f"left out, {item.fps:g} fps assumed")


def _note_folder(item, root, survey, rates, problems):
    """Take over what `frames.survey` found; `rates`: fps of videos.csv and of the configuration, or None."""
    path = root / item.path
    if survey.problem:
        return _note_undecodable(item, survey.problem.removeprefix(f"{path}: "), rates, problems)
    clock, n_rows = _openface_clock(path.parent / f"{_stem(item)}.csv") if item.aligned else (None, 0)
    item.fps = rates[0] or clock or rates[1]
    if not item.fps:
        return problems.fault(path, None, "no_frame_rate", item.video_id, "", "left out")
    item.n_frames, item.width, item.height = max(survey.n_frames, n_rows), survey.width, survey.height
    item.first_number = survey.first_number
    for start, end in survey.gaps:
        after = "no face" if item.aligned else f"filled from {start - 1 if start else end}"
        problems.repair(item.video_id, "", "missing_frame_files", f"{start}-{end - 1}", after)


def _openface_clock(path):
    """`(fps, frames)` from the time stamps of OpenFace's csv (thousandths of a second); `(None, 0)` without them."""
    try:
        table = pd.read_csv(path, skipinitialspace=True, usecols=["frame", "timestamp"], on_bad_lines="skip")
    except (OSError, ValueError):  # absent, or without these columns
        return None, 0
    table = table.apply(pd.to_numeric, errors="coerce").dropna()
    if len(table) < 2 or table["timestamp"].iloc[-1] <= table["timestamp"].iloc[0]:
        return None, 0
    n_steps, duration_s = (table[name].iloc[-1] - table[name].iloc[0] for name in ("frame", "timestamp"))
    fps = n_steps / duration_s
    tolerance = fps * 0.001 / duration_s
    usual = [rate for rate in (round(fps), round(fps * 1.001) / 1.001) if abs(rate - fps) <= tolerance]
    return float(usual[0] if usual else fps), int(table["frame"].iloc[-1])


def _videos(found, root, given, subjects, with_events, problems):
    """videos.csv: subject, split and the user's own columns beside what was measured."""
    rows = []
    for item in found:
        own = given.get(item.video_id, {})
        folder = item.path.parts[0] if len(item.path.parts) > 1 else ""
        chosen = own.get("subject", "").strip() or subjects.get(item.video_id) or folder or UNKNOWN_SUBJECT
        subject = custom_tables.safe(chosen)
        if subject != chosen:
            problems.repair(item.video_id, "", "name_made_safe", chosen, subject)
        row = {"video_id": item.video_id, "subject": subject, "source": "", "kind": ""}
        if item.n_frames:
            row |= {"source": item.path.as_posix(), **{name: getattr(item, name) for name in FACTS}}
        rows.append(row)
    chosen = custom_tables.one_spelling(row["subject"] for row in rows)
    for row in rows:
        subject, row["subject"] = row["subject"], chosen[row["subject"].casefold()]
        if subject != row["subject"]:
            before = f"{subject}, else {row['subject']}"
            problems.fault(root, None, "subject_spelling", row["video_id"], before, row["subject"])
    videos = release.videos_table(rows)
    variable = {item.video_id for item in found if item.axis.variable}
    if variable:
        videos[tables.VARIABLE] = [row["video_id"] in variable for row in rows]
    columns = dict.fromkeys(name for own in given.values() for name in own if name not in ("subject", "fps"))
    for name in columns:
        videos[name] = [given.get(video_id, {}).get(name, "") for video_id in videos["video_id"]]
    split = ["train" if video_id in with_events else "predict" for video_id in videos["video_id"]]
    own = [custom_tables.safe(cell.strip()) if cell.strip() else "" for cell in videos.get("split", [""] * len(split))]
    videos["split"] = [chosen or usual for chosen, usual in zip(own, split, strict=True)]
    return videos


def _notes(videos, events, annotated):
    """Sentences for the user: which folds are possible, and what the labels allow."""
    notes, split = [], videos["split"].value_counts()
    if videos["subject"].nunique() < 2:
        notes.append(
            f"one subject (`{videos['subject'].iloc[0]}`): leave-one-subject-out needs two. Name the subjects (a "
            "column `subject` in videos.csv or events.csv, or a folder for each), or use "
            f"config/experiments/fedn_split.yaml: videos with events train ({split.get('train', 0)}), "
            f"the others are predicted ({split.get('predict', 0)})"
        )
    if not annotated:
        notes.append("no events.csv and no file of ELAN: there is nothing to train on, every video is only predicted")
    elif len(events) and not events["emotion"].any():
        notes.append("no emotion is named: only spotting is possible (model.recognition: false)")
    return notes
