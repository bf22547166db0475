"""Reference row `classic`: peaks of the smoothed distance between features k frames apart.

The recipe of the optical-flow spotters (main directional mean difference, He et al. 2020; SOFTNet, Liong et al. 2021)
on our features: an apex differs from the frames k before and k after it; a peak's prominence is its confidence, its
width at half prominence the interval. k and smoothing are the ones of a small grid that are best on the training
subjects. No emotion, so recognition columns are null.
"""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from fedn_pipeline import intervals
from fedn_pipeline.detection.candidates import COLUMNS


def mean_length(training_videos, training_events):
    """Mean length of the training subjects' expressions in steps of the 30 fps axis (1 if there are none)."""
    fps = training_videos.set_index("video_id").fps.loc[training_events.video_id].to_numpy()
    frames = intervals.length(intervals.half_open(training_events.onset, training_events.offset))
    return float(np.mean(frames / fps)) * intervals.FEATURE_FPS if len(frames) else 1.0


def grid(training_videos, training_events, settings):
    """Candidates `(k in steps, smoothing in seconds)`; `settings` is section `folds`."""
    mean = mean_length(training_videos, training_events)
    gaps = sorted({max(1, round(share * mean)) for share in settings["classic_gaps"]})
    return [(k, smoothing_s) for k in gaps for smoothing_s in settings["classic_smoothings_s"]]


def distance(features, valid, k):
    """Mean distance of each step to those k before and k after it `[n_steps]` float32; zero where a face is missing."""
    x, last = features.astype(np.float32), len(features) - 1
    steps = np.arange(len(x))
    before, after = np.maximum(steps - k, 0), np.minimum(steps + k, last)
    to_next = np.linalg.norm(x[k:] - x[:-k], axis=1)  # serves both sides
    to_first, to_last = (
        np.linalg.norm(x[part] - x[end], axis=1) for part, end in ((steps < k, 0), (steps + k > last, last))
    )
    mean = (np.concatenate([to_first, to_next]) + np.concatenate([to_next, to_last])) / 2
    mean[~(valid & valid[before] & valid[after])] = 0
    return mean


def distances(features, k):
    """`distance` of each video; `features`: video id -> Features. Costs most of all, and no smoothing changes it."""
    return {video: distance(entry.features, entry.valid, k) for video, entry in features.items()}


def detect(videos, features, distance_of, smoothing_s):
    """Detections `video_id, onset, offset, confidence, emotion` (emotion empty); `features`: video id -> Features,
    `distance_of`: of `distances`. The spotting curve is the distance, smoothed by a Gaussian of smoothing_s seconds.

    The confidence of a peak is its prominence over the curve's median p, as p / (1 + p), in [0, 1).
    """
    from scipy.signal import find_peaks  # takes a second to load, which *chance* does without

    tables = [pd.DataFrame(columns=COLUMNS)]
    for video in videos.itertuples():
        entry = features[video.video_id]
        if not entry.valid.any():
            continue
        height = gaussian_filter1d(distance_of[video.video_id], smoothing_s * intervals.FEATURE_FPS, mode="nearest")
        _, found = find_peaks(height, prominence=0, width=0, rel_height=0.5)
        spans = np.stack([found["left_ips"], found["right_ips"] + 1], axis=-1)
        onset, offset = intervals.inclusive(intervals.to_source_axis(spans, video.fps))
        relative = found["prominences"] / max(float(np.median(height[entry.valid])), 1e-9)
        onset = onset.clip(0, video.n_frames - 1)
        tables.append(pd.DataFrame({
            "video_id": video.video_id,
            "onset": onset,
            "offset": offset.clip(onset, video.n_frames - 1),
            "confidence": relative / (1 + relative),
            "emotion": "",
        }))  # fmt: skip
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
