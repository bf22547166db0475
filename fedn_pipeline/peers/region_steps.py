"""Flow of regions with a label for every step, as AUW-GCN and its kin learn from (Yin et al. 2023): onset, offset or
none of both; how near the apex is; whether an expression goes on. Each once for every kind of expression."""

from dataclasses import dataclass

import numpy as np
import torch

from fedn_pipeline import intervals
from fedn_pipeline.features import cache
from fedn_pipeline.training.windows import starts

KINDS = ("macro", "micro")  # an expression that is not called micro is a macro-expression
ONSET, OFFSET, NEITHER = range(3)


def expressions(events, videos):
    """Rows of `events` with their steps on the 30 fps axis: video_id, kind, first, apex, last (all inclusive).

    An expression without an apex has it in its middle.
    """
    fps = videos.set_index("video_id").fps.loc[events.video_id].to_numpy(dtype=np.float64)
    spans = intervals.to_feature_axis(intervals.half_open(events.onset, events.offset), fps[:, None])
    first, last = intervals.inclusive(spans)
    apex = events.apex.to_numpy(dtype=np.float64, na_value=np.nan) * (intervals.FEATURE_FPS / fps)
    apex = np.where(np.isnan(apex), (first + last) / 2, apex)
    return events[["video_id"]].assign(
        kind=np.where(events.expression_type == "micro", "micro", "macro"),
        first=first,
        apex=np.rint(apex).astype(np.int64).clip(first, last),
        last=last,
    )


def inside(table, n):
    """Which of `n` steps lie in an expression of `table`, `[n]` bool."""
    found = np.zeros(n, dtype=bool)
    for row in table.itertuples():
        found[row.first : row.last + 1] = True
    return found


def labels(table, n, reach, width):
    """Of one video's expressions of one kind: boundary [n] int64 (ONSET, OFFSET, NEITHER), apex [n] and inside [n].

    Steps up to `reach` from a boundary belong to it; near an apex the value is that of a normal curve of standard
    deviation `width`, as far as `reach`.
    """
    boundary, apex, steps = np.full(n, NEITHER), np.zeros(n, dtype=np.float32), np.arange(n)
    for which, column in ((ONSET, "first"), (OFFSET, "last")):
        for place in table[column]:
            boundary[max(0, place - reach) : place + reach + 1] = which
    for place in table["apex"]:
        away = np.abs(steps - place)
        apex = np.maximum(apex, np.where(away <= reach, np.exp(-((away / width) ** 2) / 2), 0))
    return boundary, apex.astype(np.float32), inside(table, n).astype(np.float32)


@dataclass
class Regions:
    """Flow [n_steps, R, 2] float32 and valid [n_steps] bool of videos by id, and the flow's mean and deviation [2]."""

    flow: dict
    valid: dict
    mean: np.ndarray
    deviation: np.ndarray

    def scaled(self, video):
        """Flow of one video less the mean, in deviations; 0 where no face is."""
        return np.where(self.valid[video][:, None, None], (self.flow[video] - self.mean) / self.deviation, 0)


def read(path, ids, training, least):
    """Regions of the videos `ids`; mean and deviation (at least `least`) are of the videos `training` alone."""
    entries = {video: cache.read(path, video) for video in ids}
    flow = {video: entry.features.astype(np.float32) for video, entry in entries.items()}
    valid = {video: entry.valid for video, entry in entries.items()}
    known = np.concatenate([flow[video][valid[video]].reshape(-1, 2) for video in training])
    if not len(known):
        return Regions(flow, valid, np.zeros(2, np.float32), np.ones(2, np.float32))
    return Regions(flow, valid, known.mean(axis=0), known.std(axis=0).clip(min=least))


@dataclass
class Steps:
    """Videos end to end, with room at their ends: flow [S, R, 2]; boundary [S, K] int64, apex [S, K], inside [S, K] of
    K kinds; counted [S] bool; start [W] of the windows, and how many steps a window reads and answers for."""

    flow: torch.Tensor
    boundary: torch.Tensor
    apex: torch.Tensor
    inside: torch.Tensor
    counted: torch.Tensor
    start: torch.Tensor
    margin: int
    length: int

    def rows(self, chosen):
        """Steps that the windows `chosen [b]` read, `[b, margin + length + margin]`."""
        return self.start[chosen][:, None] + torch.arange(self.length + 2 * self.margin)


def build(regions, ids, truth, others, kinds, own):
    """Steps of the videos `ids`, whose windows are those with a step inside an expression of `truth`.

    `truth` and `others` (neither target nor background) are of `expressions`; not counted: steps in `others`, without
    a face, and beyond a video. `own`: window, window_stride, margin, boundary_reach, apex_width.
    """
    margin, length, parts, start, at = own["margin"], own["window"], [], [], 0
    for video in ids:
        n = len(regions.valid[video])
        room = (margin, max(length - n, 0) + margin)
        of_kinds = []
        for kind in kinds:
            mine = truth[(truth.video_id == video) & (truth.kind == kind)]
            of_kinds.append(labels(mine, n, own["boundary_reach"][kind], own["apex_width"]))
        boundary, apex, going_on = (np.stack(column, axis=1) for column in zip(*of_kinds, strict=True))
        counted = regions.valid[video] & ~inside(others[others.video_id == video], n)
        columns = (regions.scaled(video), boundary, apex, going_on, counted)
        fill = (0, NEITHER, 0, 0, False)
        parts.append([
            np.pad(column, [room, *[(0, 0)] * (column.ndim - 1)], constant_values=value)
            for column, value in zip(columns, fill, strict=True)
        ])  # fmt: skip
        first = starts(max(n, length), length, own["window_stride"])
        wanted = np.array([going_on[s : s + length].any() for s in first])
        start.append(at + first[wanted])
        at += len(parts[-1][0])
    columns = [torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)]
    return Steps(columns[0].float(), *columns[1:], torch.from_numpy(np.concatenate(start)), margin, length)
