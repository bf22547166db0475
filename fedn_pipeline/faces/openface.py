"""OpenFace's landmarks as an alignment: matched to the source's frames, one face followed, framed as OpenFace does it.

The aligner `openface_output` (files that OpenFace has written before), and the common part of it and of `openface`
(openface_run.py). Rows are matched to frames by number, never by position; OpenFace's similarities are not smoothed,
so that crops are OpenFace's own (0.05 to 0.08 grey levels on its sample; shared data README).
"""

import os
from pathlib import Path

import numpy as np

from fedn_pipeline.dataset.frames import numbered_images
from fedn_pipeline.faces import geometry, openface_csv, openface_shape
from fedn_pipeline.faces.alignment import Found
from fedn_pipeline.faces.landmarks import N_IBUG
from fedn_pipeline.files import InputError

CROPPED_SUFFIX = "_aligned"  # of the folder into which OpenFace writes its crops
# Focal length that OpenFace assumes, and the picture that it is meant for (px).
FOCAL_PX, FOCAL_WIDTH, FOCAL_HEIGHT = 500, 640, 480
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")  # what OpenFace reads in a folder
POSITION_NOTE = "the csv has no p_tx, p_ty (-pdmparams): crops may lie up to 1 px of the source beside OpenFace's own"
FIT_NOTE = (
    "the csv has neither p_tx, p_ty nor a usable head position (-pdmparams): the face's place in the crop is fitted, "
    "and lies 0.6 px (of 112; up to 2.5) beside OpenFace's own"
)


def is_cropped(source_path, settings):
    """Whether the source's pictures are OpenFace's own crops, to be used as they are (the video is gone)."""
    folder = Path(source_path)
    return (
        settings["faces"]["aligner"] == "openface_output" and folder.is_dir() and folder.name.endswith(CROPPED_SUFFIX)
    )


def from_output(source_path, info, video_id, settings, progress=True):
    """Aligner `openface_output`: Found from the csv that OpenFace has written for this source.

    `info` is source.probe's; `settings` holds `faces` and `openface`. Raises InputError.
    """
    path = find_csv(source_path, video_id, settings["openface"]["output"])
    rows = openface_csv.read(path)
    beside = [path.parent, Path(settings["openface"]["output"] or path.parent).expanduser()]
    mean_shape = openface_shape.find(settings["openface"], beside)
    if not is_cropped(source_path, settings):
        _check_numbering(rows, info, path, source_path)
        frame_of, note = frames_read(source_path, info, rows)
        result = found(rows, frame_of, info, settings, (path, source_path), mean_shape)
        result.warnings += [note] if note else []
        return result
    kept = rows.only(rows.number <= info.n_frames)
    result = found(kept, np.arange(info.n_frames), info, settings, (path, source_path), mean_shape)
    if len(kept.number) < len(rows.number):
        n_past = len(np.unique(rows.number)) - len(np.unique(kept.number))
        result.warnings.append(f"{path}: {n_past} frames after the last picture of {source_path} were left out")
    if info.n_damaged:
        n_shown = info.n_frames - info.n_damaged
        result.warnings.append(
            f"{source_path}: a usable picture for {n_shown} of {info.n_frames} frames, black elsewhere"
        )
    return result


def find_csv(source_path, video_id, output):
    """Path of a source's csv: `{video_id}.csv`, or named as the source; in `output` or below, or beside the source.

    Raises InputError if there is none, or several of one name.
    """
    source_path = Path(source_path)
    own = source_path.name if source_path.is_dir() else source_path.stem
    names = list(dict.fromkeys(f"{name}.csv" for name in (video_id, own, own.removesuffix(CROPPED_SUFFIX))))
    folders = [Path(output).expanduser()] if output else []
    if folders and not folders[0].is_dir():
        raise InputError(f"{folders[0]}: no such folder (openface.output)")
    below = _csv_below(folders[0]) if folders else []
    for name in names:
        same = [path for path in below if path.name == name]
        if len(same) > 1:
            raise InputError(
                f"{source_path}: several csv of OpenFace may be meant: {', '.join(map(str, same))}; "
                f"keep the right one alone, as {names[0]}"
            )
        for path in [*same, source_path.parent / name]:
            if path.is_file():
                return path
    looked = " or ".join(str(folder) for folder in [*folders, source_path.parent])
    hint = "" if output else "; set openface.output to the folder of OpenFace's files"
    raise InputError(f"{source_path}: no csv of OpenFace, {' or '.join(names)}, in {looked}{hint}")


def _csv_below(folder):
    """Every csv in `folder` and its subfolders, those of crops left out, sorted."""
    paths = []
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.endswith(CROPPED_SUFFIX)]
        paths += [Path(base) / name for name in names if name.endswith(".csv")]
    return sorted(paths)


def frames_read(source_path, info, rows):
    """Frame index `[n]` of the n pictures that OpenFace has read from a source, in its order, and a note or None.

    In a folder it takes the names sorted as text (img10 before img2) and knows no gaps. Where that is not the order of
    the numbers, the csv may still come from a renamed copy: then the order in which the face moves less is taken.
    """
    if not info.filled:
        return np.arange(info.n_frames), None
    number_of = {path.name: number for number, path in numbered_images(source_path).items()}
    sound = int(np.argmin(info.damaged))
    first_number = number_of[info.files[sound].name] - sound
    names = [name for name in sorted(number_of) if name.lower().endswith(IMAGE_SUFFIXES)]
    as_text = np.array([number_of[name] - first_number for name in names], dtype=int)
    by_number = np.sort(as_text)
    if (as_text == by_number).all() or rows.number.max() > len(names):
        return by_number, None
    if _movement(rows, as_text) <= _movement(rows, by_number):
        return as_text, f"{source_path}: OpenFace has read the images sorted as text; its rows were put in order"
    return by_number, None


def _movement(rows, frame_of):
    """Path (px) of the face's middle over the frames in an order."""
    tracked = rows.only(rows.success)
    order = np.argsort(_frames(tracked, frame_of), kind="stable")
    if not len(order):
        return 0.0
    return float(np.abs(np.diff(tracked.points.mean(axis=1)[order], axis=0)).sum())


def _check_numbering(rows, info, path, source_path):
    """In a video with damaged frames, OpenFace may have left some out and numbered the others without a gap."""
    last = rows.number.max()
    if not info.filled and info.n_damaged and np.argmax(info.damaged) < last < info.n_frames:
        raise InputError(
            f"{path}: {info.n_damaged} of the {info.n_frames} frames of {source_path} are damaged, and the rows end "
            f"with frame {last:g}: which frames they mean cannot be known; use faces.aligner: openface"
        )


def found(rows, frame_of, info, settings, names, mean_shape):
    """Found of OpenFace's rows. `frame_of [n]`: frame index of OpenFace's picture k + 1.

    `names` are the csv and the source, for messages; `mean_shape` is what openface_shape.find gives. Raises InputError
    for rows that cannot belong to the source.
    """
    _check_rows(rows, frame_of, settings["openface"]["max_absent_share"], names)
    points = np.full((info.n_frames, N_IBUG, 2), np.nan)
    similarities, confidence = np.full((info.n_frames, 4), np.nan), np.zeros(info.n_frames)
    warnings = _absence(rows, frame_of, names)
    tracked = rows.only(rows.success)
    if not len(tracked.number):
        return Found(points, similarities, confidence, 0, warnings)
    person, n_faces = _person(tracked)
    if n_faces > 1:
        warnings.append(f"{names[0]} follows {n_faces} faces; face_id {person}, the largest over time, was taken")
    own = rows.only(rows.face_id == person)
    confidence[_frames(own, frame_of)] = own.confidence
    own = own.only(own.success)
    cropped = is_cropped(names[1], settings)
    if not cropped:
        _check_place(own, info, names)
    shape, note = mean_shape
    origin, other_note = _origin(own, None if cropped else (info.width, info.height), shape)
    if not cropped:  # else the crops are OpenFace's own pictures
        warnings += [sentence for sentence in (note, other_note) if sentence]
    frames, size = _frames(own, frame_of), settings["faces"]["crop_size"]
    points[frames] = own.points
    for frame, face, place in zip(frames, own.points, origin, strict=True):
        similarities[frame] = geometry.openface_similarity(face, shape, openface_shape.STABLE, place, size)
    if cropped or not info.filled:  # what stands in there is no picture of this frame
        points[info.damaged], similarities[info.damaged], confidence[info.damaged] = np.nan, np.nan, 0
    n_several = int((np.unique(tracked.number, return_counts=True)[1] > 1).sum())
    return Found(points, similarities, confidence, n_several, warnings)


def _frames(rows, frame_of):
    return frame_of[rows.number.astype(int) - 1]


def _check_rows(rows, frame_of, max_absent_share, names):
    """Refuse rows past the last frame, and too few of them."""
    past = rows.number > len(frame_of)
    if past.any():
        row = int(np.argmax(past))
        raise InputError(
            f"{names[0]}: row {rows.line[row]}: frame {rows.number[row]:g}, but {names[1]} has {len(frame_of)} "
            "pictures: not the output for this source"
        )
    n_rows = len(np.unique(rows.number))
    if len(frame_of) - n_rows > max_absent_share * len(frame_of):
        last = f", the last in row {rows.line[-1]}" if len(rows.line) else ""
        raise InputError(
            f"{names[0]}: rows for {n_rows} of the {len(frame_of)} pictures of {names[1]}{last}: OpenFace stopped "
            "early (a picture it could not read, a video cut short, a crash) or the csv was shortened. Run OpenFace "
            "again on the whole source; where frames without a row may count as frames without a face, raise "
            "openface.max_absent_share"
        )


def _absence(rows, frame_of, names):
    n_absent = len(frame_of) - len(np.unique(rows.number))
    return [f"{names[0]}: {n_absent} of {len(frame_of)} pictures have no row: no face there"] if n_absent else []


def _check_place(rows, info, names):
    """Refuse landmarks that lie outside the picture most of the time: another video's, or another size of it."""
    centre = rows.points.mean(axis=1)
    outside = ((centre < 0) | (centre > [info.width, info.height])).any(axis=1)
    if outside.mean() > 0.5:
        row = int(np.argmax(outside))
        raise InputError(
            f"{names[0]}: row {rows.line[row]}: the face lies outside the picture ({info.width} x {info.height} px) in "
            f"{int(outside.sum())} of {len(outside)} rows: not the output for {names[1]}"
        )


def _person(tracked):
    """The face_id with the largest area over time, and how many there are."""
    area = np.ptp(tracked.points, axis=1).prod(axis=1)
    weights = {int(face_id): area[tracked.face_id == face_id].sum() for face_id in np.unique(tracked.face_id)}
    return max(weights, key=weights.get), len(weights)


def _origin(rows, size, shape):
    """The model's origin in the picture `[n_rows, 2]` px, and a note if it is not OpenFace's own number.

    `size` is the source's (width, height) px, None if unknown.
    """
    if rows.origin is not None:
        return rows.origin, None
    if rows.position is not None and size and (np.isfinite(rows.position).all() and (rows.position[:, 2] > 0).all()):
        focal = FOCAL_PX * (size[0] / FOCAL_WIDTH + size[1] / FOCAL_HEIGHT) / 2
        return np.array(size) / 2 + focal * rows.position[:, :2] / rows.position[:, 2:], POSITION_NOTE
    return np.array([geometry.fit_similarity(shape, face[openface_shape.STABLE])[2:] for face in rows.points]), FIT_NOTE
