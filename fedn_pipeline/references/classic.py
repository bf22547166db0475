"""Reference row `classic`: peaks of the smoothed distance between features k frames apart.

The recipe of the optical-flow spotters (main directional mean difference, He et al. 2020; SOFTNet, Liong et al. 2021)
on our features: k is half the training subjects' mean expression length, an apex differs from the frames k before
and k after it, and the interval is the peak plus and minus k. No emotion, so recognition columns are null.
"""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from fedn_pipeline import intervals
from fedn_pipeline.detection.candidates import COLUMNS
from fedn_pipeline.features import cache


def half_length(training_videos, training_events):
    """k in steps of the 30 fps axis: half the mean length of the training subjects' expressions, at least 1."""
    fps = training_videos.set_index("video_id").fps.loc[training_events.video_id].to_numpy()
    frames = intervals.length(intervals.half_open(training_events.onset, training_events.offset))
    return max(1, round(float(np.mean(frames / fps)) * intervals.FEATURE_FPS / 2)) if len(frames) else 1


def curve(features, valid, k, smoothing_s):
    """Spotting curve `[n_steps]`: mean distance to the frames k before and k after, smoothed, zero without a face."""
    x = features.astype(np.float32)
    steps = np.arange(len(x))
    before, after = np.maximum(steps - k, 0), np.minimum(steps + k, len(x) - 1)
    distance = (np.linalg.norm(x - x[before], axis=1) + np.linalg.norm(x - x[after], axis=1)) / 2
    distance[~(valid & valid[before] & valid[after])] = 0
    return gaussian_filter1d(distance, smoothing_s * intervals.FEATURE_FPS, mode="nearest")


def detect(videos, features_path, k, settings):
    """Detections `video_id, onset, offset, confidence, emotion` (emotion empty); `settings` is section `folds`.

    The confidence of a peak is its height over the video's median height h, as h / (1 + h), in [0, 1).
    """
    tables = [pd.DataFrame(columns=COLUMNS)]
    for video in videos.itertuples():
        entry = cache.read(features_path, video.video_id)
        height = curve(entry.features, entry.valid, k, settings["classic_smoothing_s"])
        peaks, _ = find_peaks(height, distance=k)
        spans = np.stack([peaks - k, peaks + k + 1], axis=-1).clip(0, len(height))
        relative = height[peaks] / max(float(np.median(height)), 1e-9)
        onset, offset = intervals.inclusive(intervals.to_source_axis(spans.astype(float), video.fps))
        tables.append(pd.DataFrame({
            "video_id": video.video_id,
            "onset": onset.clip(0, video.n_frames - 1),
            "offset": offset.clip(0, video.n_frames - 1),
            "confidence": relative / (1 + relative),
            "emotion": "",
        }))  # fmt: skip
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
