"""What is exported: the folder that `detect` wrote, or a canonical table of events or detections beside videos.csv."""

import csv
import math
from pathlib import Path

from fedn_pipeline import files
from fedn_pipeline.dataset import tables
from fedn_pipeline.exchange import clock
from fedn_pipeline.exchange.spans import Clip, Span
from fedn_pipeline.files import InputError
from fedn_pipeline.own_video.layout import JSON, SUMMARY

VIDEO_KEYS = {"id": str, "file": str, "n_frames": int, "fps": (int, float)}
DETECTION_KEYS = {"onset": int, "offset": int, "emotion": str, "confidence": (int, float), "kept": bool}


def read_folder(folder, threshold=None):
    """`{video_id: (Clip, Clock, [Span])}` of what `detect` wrote into a folder, for all videos or one, or of one file.

    Only kept detections, or, with a `threshold`, those of at least this confidence. Raises InputError.
    """
    documents = {path: files.read_json(path) for path in documents_in(folder)}
    ours = {path: document for path, document in documents.items() if is_ours(document)}
    if not ours:
        raise InputError(f"{folder}: no {JSON} in it, nor in its folders: not what `fedn-pipeline detect` wrote")
    found = {}
    for path, document in ours.items():
        clip, axis = _clip(path, document)
        if clip.video_id in found:
            raise InputError(f"{path}: a second file for video {clip.video_id!r}")
        found[clip.video_id] = clip, axis, _detections(path, document, axis, threshold)
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
    axis = clock.from_times(name, fps, n_frames, document.get("times_s"))
    return Clip(name, video["file"], fps, axis.seconds(0, n_frames - 1)[1]), axis


def _detections(path, document, axis, threshold):
    spans = []
    for number, row in enumerate(document["detections"], 1):
        place = f"detection {number}"
        _check(path, place, row, DETECTION_KEYS)
        if not 0 <= row["onset"] <= row["offset"] < axis.n_frames:
            raise InputError(f"{path}: {place}: frames {row['onset']} to {row['offset']} of {axis.n_frames}")
        if row["kept"] if threshold is None else row["confidence"] >= threshold:
            times_s = axis.seconds(row["onset"], row["offset"])
            spans.append(Span(axis.name, *times_s, row["emotion"], float(row["confidence"]), place=place))
    return spans


def _check(path, place, row, keys):
    for key, kind in keys.items():
        value = row.get(key) if isinstance(row, dict) else None
        sound = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
        if not sound or (isinstance(value, float) and not math.isfinite(value)):
            raise InputError(f"{path}: {place}: `{key}` is {value!r}")


def read_table(path, videos_path, labels, threshold=None):
    """The same of events.csv (rows of the label set `labels`) or detections.csv, with the data set's videos.csv."""
    videos = tables.read_videos(videos_path, known=("n_frames", "fps"))
    if "confidence" in _header(path):
        rows = tables.read_detections(path, videos)
        if threshold is None and "kept" not in rows:
            raise InputError(f"{path}: no column `kept`: give --threshold")
        rows = rows[rows["kept"] if threshold is None else rows["confidence"] >= threshold]
    else:
        rows = tables.of_label_set(tables.read_events(path, videos), labels, path)
    found = {}
    for video in videos.itertuples():
        axis = clock.Clock(video.video_id, video.fps, video.n_frames)
        file = video.source if video.kind != "frames" else ""
        duration_s = video.n_frames / video.fps
        split = getattr(video, "split", "")
        found[video.video_id] = Clip(video.video_id, file, video.fps, duration_s, video.subject, split), axis, []
    for row in rows.itertuples():
        clip, axis, spans = found[row.video_id]
        times_s = axis.seconds(row.onset, row.offset)
        spans.append(Span(row.video_id, *times_s, row.emotion, getattr(row, "confidence", None), clip.subject))
    return found


def _header(path):
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        return next(csv.reader(file), [])
