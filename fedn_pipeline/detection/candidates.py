"""Raw predictions of a video's overlapping windows -> detections: decode, drop, suppress (model.md, "Inference").

Takes what a fold wrote (`predictions.h5`), gives `video_id, onset, offset, confidence, emotion` on the source's own
frame axis. NumPy only.
"""

from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd

from fedn_pipeline import intervals
from fedn_pipeline.detection.nms import nms
from fedn_pipeline.files import InputError, whole

COLUMNS = ["video_id", "onset", "offset", "confidence", "emotion"]
FLOAT_DATASETS = ("starts", "intervals", "logits")


@dataclass
class RawPredictions:
    """One video: starts [W] int64 (30 fps frames), intervals [W, P, 2] float32 (frames from the window's start),
    logits [W, P, C] float32, valid [n_steps] bool, fps and n_frames of the source."""

    starts: np.ndarray
    intervals: np.ndarray
    logits: np.ndarray
    valid: np.ndarray
    fps: float
    n_frames: int


def write_raw(path, roles, classes):
    """Write `{role: {video_id: RawPredictions}}` (roles `test` and `held_out`) and the class names."""
    with whole(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["classes"] = list(classes)
        for role, videos in roles.items():
            for video, raw in videos.items():
                group = file.create_group(f"{role}/{video}")
                for name in (*FLOAT_DATASETS, "valid"):
                    group.create_dataset(name, data=getattr(raw, name), chunks=True, fletcher32=True)
                group.attrs["fps"], group.attrs["n_frames"] = raw.fps, raw.n_frames


def read_raw(path):
    """Inverse of `write_raw`: `(roles, classes)`. Raises InputError naming a damaged file."""
    try:
        with h5py.File(path) as file:
            roles = {
                role: {
                    video: RawPredictions(
                        **{name: group[name][:] for name in (*FLOAT_DATASETS, "valid")},
                        fps=float(group.attrs["fps"]),
                        n_frames=int(group.attrs["n_frames"]),
                    )
                    for video, group in file[role].items()
                }
                for role in file
            }
            return roles, [str(name) for name in file.attrs["classes"]]
    except OSError as error:
        raise InputError(f"{path}: damaged or no HDF5 file ({error}); delete it and run again") from error


def missing_share(spans, valid):
    """Share of each interval `[n, 2]` (30 fps steps) that lies in steps without a face, `[n]`."""
    count = np.concatenate([[0.0], np.cumsum(~valid)])
    grid = np.arange(len(count))
    inside = np.interp(spans[:, 1], grid, count) - np.interp(spans[:, 0], grid, count)
    return inside / np.maximum(intervals.length(spans), 1e-9)


def of_video(video, raw, classes, settings):
    """Detections of one video, highest confidence first (`settings` is section `detections`)."""
    n_steps = len(raw.valid)
    spans = (raw.starts[:, None, None] + raw.intervals.astype(np.float64)).reshape(-1, 2)
    logits = raw.logits.reshape(-1, raw.logits.shape[-1])
    label = logits.argmax(1)
    confidence = 1 / (1 + np.exp(-logits.max(1).astype(np.float64)))

    spans = np.clip(spans, 0, n_steps)
    keep = (confidence >= settings["confidence_floor"]) & (intervals.length(spans) > 0)
    keep[keep] &= missing_share(spans[keep], raw.valid) <= settings["max_missing_share"]
    chosen = np.flatnonzero(keep)
    most = max(1, round(settings["max_per_minute"] * n_steps / (60 * intervals.FEATURE_FPS)))
    chosen = chosen[np.argsort(-confidence[chosen], kind="stable")[:most]]
    chosen = chosen[nms(spans[chosen], confidence[chosen], settings["nms_iou"])]

    onset, offset = intervals.inclusive(intervals.to_source_axis(spans[chosen], raw.fps))
    onset = np.clip(onset, 0, raw.n_frames - 1)
    offset = np.clip(offset, onset, raw.n_frames - 1)
    rows = {
        "video_id": video,
        "onset": onset,
        "offset": offset,
        "confidence": confidence[chosen],
        "emotion": [classes[number] for number in label[chosen]],
    }
    return pd.DataFrame(rows, columns=COLUMNS)


def of_videos(raw_by_video, classes, settings):
    """Detections of several videos in sorted order, one table."""
    tables = [of_video(video, raw_by_video[video], classes, settings) for video in sorted(raw_by_video)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
