"""One fold's data in memory: all its features as one tensor, its windows as index lists, its targets.

Read once per fold from the merged feature cache, in half precision as cached and on the device; batches are gathered by
index and made float32, which is exact, as they are read (model.md, "Shapes").
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
    """V videos: ids; n_steps [V] on the 30 fps axis; features [sum of n_steps / row_stride, D], end to end, float16
    as cached; valid: id -> [n_steps] bool; row_stride: frames from one row of features to the next (2 for clips)."""

    ids: tuple
    n_steps: np.ndarray
    features: torch.Tensor
    valid: dict
    row_stride: int = 1

    def of(self, ids):
        """The Videos `ids` alone, in that order."""
        if tuple(ids) == self.ids:
            return self
        places = [self.ids.index(video) for video in ids]
        parts = self.features.split((self.n_steps // self.row_stride).tolist())
        features = torch.cat([parts[place] for place in places])
        valid = {video: self.valid[video] for video in ids}
        return Videos(tuple(ids), self.n_steps[places], features, valid, self.row_stride)

    def windows(self, settings, stride):
        """Windows at `stride` and the rows of the features that they read, `[W, rows]` tensor."""
        cut = windowing.cut(self.n_steps, settings, stride)
        index = windowing.gather_index(cut, self.n_steps, settings, self.row_stride)
        return cut, torch.from_numpy(index).to(self.features.device)

    def moments(self):
        """Mean and standard deviation of each value over the rows that show a face, `[D]` float32 each; the deviation
        of a value that never changes is 1."""
        count, total, squares = 0, 0, 0
        lengths = (self.n_steps // self.row_stride).tolist()
        for video, rows in zip(self.ids, self.features.split(lengths), strict=True):  # all at once in float64 is much
            shown = torch.from_numpy(self.valid[video][:: self.row_stride]).to(rows.device)
            rows = rows[shown].double()
            count, total, squares = count + len(rows), total + rows.sum(0), squares + (rows**2).sum(0)
        mean = total / max(1, count)
        deviation = (squares / max(1, count) - mean**2).clamp(min=0).sqrt()
        return mean.float(), torch.where(deviation > 0, deviation, 1.0).float()


def load(features_path, roles, device):
    """The Videos of each role, `{role: ids}` -> `{role: Videos}`: their features are parts of one tensor on `device`.

    Videos are read one by one, so that no second copy of all is in memory. Raises InputError naming file and video.
    """
    shape = {video: cache.shape(features_path, video) for ids in roles.values() for video in ids}
    n_rows = {video: rows for video, (rows, _) in shape.items()}
    width = next(iter(shape.values()))[1]  # a cache holds one backbone's features
    features = torch.empty(sum(n_rows.values()), width, dtype=torch.float16, device=device)
    of_roles = features.split([sum(n_rows[video] for video in ids) for ids in roles.values()])
    loaded = {}
    for (role, ids), part in zip(roles.items(), of_roles, strict=True):
        valid = {}
        for video, place in zip(ids, part.split([n_rows[video] for video in ids]), strict=True):
            entry = cache.read(features_path, video)
            row_stride = int(entry.attributes["frame_stride"])
            place.copy_(torch.from_numpy(entry.features))
            valid[video] = np.repeat(entry.valid, row_stride)
        n_steps = np.array([len(steps) for steps in valid.values()])
        loaded[role] = Videos(tuple(ids), n_steps, part, valid, row_stride)
    return loaded


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
