"""Raw predictions of a video's overlapping windows -> detections: decode, drop, suppress (model.md, "Inference").

Takes what a fold wrote (`predictions.h5`), gives `video_id, onset, offset, confidence, emotion` on the source's own
frame axis. NumPy only.
"""

import numpy as np
import pandas as pd

from fedn_pipeline import intervals
from fedn_pipeline.detection.nms import nms
from fedn_pipeline.model.outputs import OBJECTNESS

COLUMNS = ["video_id", "onset", "offset", "confidence", "emotion"]


def missing_share(spans, valid):
    """Share of each interval `[n, 2]` (30 fps steps) that lies in steps without a face, `[n]`."""
    count = np.concatenate([[0.0], np.cumsum(~valid)])
    grid = np.arange(len(count))
    inside = np.interp(spans[:, 1], grid, count) - np.interp(spans[:, 0], grid, count)
    return inside / np.maximum(intervals.length(spans), 1e-9)


def confidence_and_label(logits, names):
    """Logits `[..., len(names)]` -> confidence in (0, 1) float64 and index of the class, `[...]` each.

    The highest class probability is the confidence; with a confidence branch (the last name is OBJECTNESS) its
    probability alone, so that spotting does not hang on how sure the emotion is.
    """
    classes = logits[..., :-1] if names[-1] == OBJECTNESS else logits
    decisive = logits[..., -1] if names[-1] == OBJECTNESS else logits.max(-1)
    return 1 / (1 + np.exp(-decisive.astype(np.float64))), classes.argmax(-1)


def chosen(raw, names, settings):
    """What is left of a video's raw predictions, highest confidence first; `settings` is section `detections`.

    Returns `(spans [k, 2] half-open, in 30 fps steps, confidence [k], label [k] index into names, logits [k, C])`.
    """
    n_steps = len(raw.valid)
    spans = (raw.starts[:, None, None] + raw.intervals.astype(np.float64)).reshape(-1, 2)
    logits = raw.logits.reshape(-1, raw.logits.shape[-1])
    confidence, label = confidence_and_label(logits, names)

    spans = np.clip(spans, 0, n_steps)
    keep = (confidence >= settings["confidence_floor"]) & (intervals.length(spans) > 0)
    keep[keep] &= missing_share(spans[keep], raw.valid) <= settings["max_missing_share"]
    left = np.flatnonzero(keep)
    most = max(1, round(settings["max_per_minute"] * n_steps / (60 * intervals.FEATURE_FPS)))
    left = left[np.argsort(-confidence[left], kind="stable")[:most]]
    left = left[nms(spans[left], confidence[left], settings["nms_iou"])]
    return spans[left], confidence[left], label[left], logits[left]


def frames(spans, n_frames):
    """Half-open spans `[k, 2]` in source frames -> inclusive `(onset, offset)` `[k]` int64 within the video."""
    onset, offset = intervals.inclusive(spans)
    onset = np.clip(onset, 0, n_frames - 1)
    return onset, np.clip(offset, onset, n_frames - 1)


def of_video(video, raw, names, settings):
    """Detections of one video, highest confidence first; `names` are those of the logits (section `detections`)."""
    spans, confidence, label, _ = chosen(raw, names, settings)
    onset, offset = frames(intervals.to_source_axis(spans, raw.fps), raw.n_frames)
    rows = {
        "video_id": video,
        "onset": onset,
        "offset": offset,
        "confidence": confidence,
        "emotion": [names[number] for number in label],
    }
    return pd.DataFrame(rows, columns=COLUMNS)


def of_videos(raw_by_video, names, settings):
    """Detections of several videos in sorted order, one table."""
    tables = [of_video(video, raw_by_video[video], names, settings) for video in sorted(raw_by_video)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
