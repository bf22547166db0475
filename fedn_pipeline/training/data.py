"""One fold's data in memory: all its features as one tensor, its windows as index lists, its targets.

Loaded once per fold from the merged feature cache; batches are gathered by index (model.md, "Shapes").
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from fedn_pipeline import intervals
from fedn_pipeline.features import cache
from fedn_pipeline.training import windows as windowing


@dataclass
class Videos:
    """V videos: ids; n_steps [V] on the 30 fps axis; features [sum of n_steps / row_stride, D] float32, end to end;
    valid: id -> [n_steps] bool; row_stride: frames from one row of features to the next (2 for clips)."""

    ids: tuple
    n_steps: np.ndarray
    features: torch.Tensor
    valid: dict
    row_stride: int = 1

    def windows(self, settings, stride):
        """Windows at `stride` and the rows of the features that they read, `[W, rows]` tensor."""
        cut = windowing.cut(self.n_steps, settings, stride)
        index = windowing.gather_index(cut, self.n_steps, settings, self.row_stride)
        return cut, torch.from_numpy(index).to(self.features.device)


def load(features_path, ids, device):
    """Features of the videos `ids` as one tensor on `device`."""
    entries = {video: cache.read(features_path, video) for video in ids}
    features = np.concatenate([entry.features for entry in entries.values()]).astype(np.float32)
    row_stride = int(next(iter(entries.values())).attributes["frame_stride"])  # a cache holds one backbone's features
    valid = {video: np.repeat(entry.valid, row_stride) for video, entry in entries.items()}
    n_steps = np.array([len(steps) for steps in valid.values()])
    return Videos(tuple(ids), n_steps, torch.from_numpy(features).to(device), valid, row_stride)


def events_on_feature_axis(events, others, videos, ids, classes):
    """Per video `(intervals [e, 2] on the 30 fps axis, classes [e])`; class -1 for an event that is never a target.

    Never targets: `others`, and emotions not in `classes`. A single class (spotting alone) takes every emotion.
    """
    fps = videos.set_index("video_id").fps
    code = {emotion: number for number, emotion in enumerate(classes)}
    rest = 0 if list(classes) == [""] else -1
    labelled = events.assign(label=[code.get(emotion, rest) for emotion in events.emotion])
    every = pd.concat([labelled, others.assign(label=-1)]).sort_values(["onset", "offset"], kind="stable")
    source_fps = every.video_id.map(fps).to_numpy(dtype=np.float64)
    spans = intervals.to_feature_axis(intervals.half_open(every.onset, every.offset), source_fps[:, None])
    labels = every.label.to_numpy(dtype=np.int64)
    rows, none = every.groupby("video_id").indices, np.zeros(0, dtype=np.int64)
    return [(spans[rows.get(video, none)], labels[rows.get(video, none)]) for video in ids]
