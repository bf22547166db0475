"""What is exported: the folder that `detect` wrote, or a canonical table of events or detections of known videos."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from fedn_pipeline import files
from fedn_pipeline.annotations.spans import Clip, Span
from fedn_pipeline.dataset import tables
from fedn_pipeline.faces import axis
from fedn_pipeline.files import InputError
from fedn_pipeline.own_video.layout import JSON, SUMMARY

VIDEO_KEYS = {"id": str, "file": str, "n_frames": int, "fps": (int, float)}
DETECTION_KEYS = {"onset": int, "offset": int, "emotion": str, "confidence": (int, float), "kept": bool}


def read_folder(folder, threshold=None):
    """`{video_id: (Clip, Axis, [Span])}` of what `detect` wrote into a folder, for all videos or one, or of one file.

    Only kept detections, or, with a `threshold`, those of at least this confidence. Raises InputError.
    """
    documents = {path: files.read_json(path) for path in documents_in(folder)}
    ours = {path: document for path, document in documents.items() if is_ours(document)}
    if not ours:
        raise InputError(f"{folder}: no {JSON} in it, nor in its folders: not what `fedn-pipeline detect` wrote")
    found = {}
    for path, document in ours.items():
        clip, line = _clip(path, document)
        if clip.video_id in found:
            raise InputError(f"{path}: a second file for video {clip.video_id!r}")
        found[clip.video_id] = clip, line, _detections(path, document, clip, line, threshold)
    return found


def documents_in(place):
    """The detections.json of a folder that `detect` wrote, for all videos or one; the file itself of a file.

    Of a folder for all, those of its last call, which summary.json names. Raises InputError.
    """
    if place.is_file():
        return [place]
    if (place / JSON).is_file():
        return [place / JSON]
    summary = files.read_json(place / SUMMARY) if (place / SUMMARY).is_file() else None
    if not (isinstance(summary, dict) and {*summary} == {"videos", "failed"}):  # none, or somebody else's
        return sorted(place.glob(f"*/{JSON}"))
    odd = [name for name in summary["videos"] if not (isinstance(name, str) and tables.SAFE_NAME.fullmatch(name))]
    if odd:
        raise InputError(f"{place / SUMMARY}: videos: {odd[0]!r} is no name of a video")
    if not summary["videos"]:
        raise InputError(f"{place / SUMMARY}: the last call of `detect` could use none of its videos; it says why")
    return [place / name / JSON for name in summary["videos"]]


def is_ours(document):
    """Whether a JSON document is a video's detections."""
    return isinstance(document, dict) and isinstance(document.get("video"), dict) and "detections" in document


def _clip(path, document):
    video = document["video"]
    _check(path, "video", video, VIDEO_KEYS)
    name, fps, n_frames = video["id"], float(video["fps"]), video["n_frames"]
    if not (fps > 0 and n_frames > 0):
        raise InputError(f"{path}: video: fps and n_frames must be above 0")
    line = _axis(path, fps, n_frames, document.get("times_s"))
    return Clip(name, video["file"], fps, line.duration_s, detected=True), line


def _axis(path, fps, n_frames, times_s):
    """The Axis of a document: by its time stamps, where it has them."""
    if times_s is None:
        return axis.Axis(n_frames, fps)
    try:
        times_s = np.array(times_s, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: times_s holds something else than numbers") from error
    if times_s.shape != (n_frames,) or n_frames < 2:
        raise InputError(f"{path}: times_s has the shape {list(times_s.shape)}, but there are {n_frames} frames")
    if not np.isfinite(times_s).all() or (np.diff(times_s) <= 0).any():
        raise InputError(f"{path}: times_s must be finite and grow from frame to frame")
    return axis.of_stamps(times_s)


def _detections(path, document, clip, line, threshold):
    spans = []
    for number, row in enumerate(document["detections"], 1):
        place = f"detection {number}"
        _check(path, place, row, DETECTION_KEYS)
        if not 0 <= row["onset"] <= row["offset"] < line.n_frames:
            raise InputError(f"{path}: {place}: frames {row['onset']} to {row['offset']} of {line.n_frames}")
        if row["kept"] if threshold is None else row["confidence"] >= threshold:
            times_s = map(float, line.seconds(row["onset"], row["offset"]))
            spans.append(Span(clip.video_id, *times_s, row["emotion"], float(row["confidence"]), place=place))
    return spans


def _check(path, place, row, keys):
    for key, kind in keys.items():
        value = row.get(key) if isinstance(row, dict) else None
        sound = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
        if not sound or (isinstance(value, float) and not math.isfinite(value)):
            raise InputError(f"{path}: {place}: `{key}` is {value!r}")


def read_table(path, videos, labels, threshold=None):
    """The same of events.csv (rows of the label set `labels`) or detections.csv, of these known.Videos."""
    lengths = {video_id: line.n_frames for video_id, line in videos.axes.items()}
    table = pd.DataFrame(lengths.items(), columns=["video_id", "n_frames"])
    scored = "confidence" in _header(path)
    if scored:
        rows = tables.read_detections(path, table)
        if threshold is None and "kept" not in rows:
            raise InputError(f"{path}: no column `kept`: give --threshold")
        rows = rows[rows["kept"] if threshold is None else rows["confidence"] >= threshold]
    else:
        rows = tables.of_label_set(tables.read_events(path, table), labels, path)
    found = {
        video_id: (replace(clip, detected=scored), videos.axes[video_id], []) for video_id, clip in videos.clips.items()
    }
    for row in rows.itertuples():
        clip, _, spans = found[row.video_id]
        times_s = map(float, videos.axis(row.video_id).seconds(row.onset, row.offset))
        spans.append(Span(row.video_id, *times_s, row.emotion, getattr(row, "confidence", None), clip.subject))
    return found


def _header(path):
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        return next(csv.reader(file), [])
