"""STR's windows: a fold's flow cache, what a window is to the spotter, and which one stands for an interval."""

from contextlib import contextmanager
from dataclasses import dataclass

import h5py
import numpy as np
import torch

from fedn_pipeline import hdf5, intervals
from fedn_pipeline.cascades.samples import of_table
from fedn_pipeline.files import InputError, checked, rebuild


@dataclass
class Motion:
    """One video: valid [n_steps] bool, magnitude [n_steps] float32 (see `features/flow.py`)."""

    valid: np.ndarray
    magnitude: np.ndarray


@dataclass
class FlowCache:
    """The cache's file, its gap (steps), the side of its pictures (px), and the Motion of the fold's videos by id."""

    path: object
    gap: int
    side: int
    motion: dict

    def pictures(self, video, starts):
        """Flow `[len(starts), 3, side, side]` float32 of the windows that start at these steps."""
        if not len(starts):
            return torch.empty(0, 3, self.side, self.side)
        first = starts.min()
        with _group(self.path, video) as group:  # in one piece: HDF5 picks scattered rows 20 times more slowly
            found = group["features"][first : starts.max() + 1][starts - first].astype(np.float32)
        _must_be_finite(found, self.path, video, starts)
        return torch.from_numpy(found)

    def pictures_of(self, video, starts):
        """The same for parallel arrays of video ids and starts; each video is read once."""
        found = torch.empty(len(starts), 3, self.side, self.side)
        for name in dict.fromkeys(video):
            rows = np.flatnonzero(video == name)
            found[torch.from_numpy(rows)] = self.pictures(name, starts[rows])
        return found


@contextmanager
def _group(path, video):
    """A video's group in the open cache. Raises InputError naming file and video if something is absent or damaged."""
    try:
        with h5py.File(checked(path)) as file:
            hdf5.require_numbers(path, file[video])
            yield file[video]
    except hdf5.DAMAGED as error:
        raise InputError(f"{path}: video {video}: {error}; delete the file and run again (rule `flow`)") from error


def _must_be_finite(values, path, video, steps):
    """Raise InputError naming file, video and step if some of `values [len(steps), ...]` is NaN or infinite."""
    wrong = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if wrong.any():
        raise InputError(f"{path}: video {video}: flow is not finite at step {steps[wrong][0]}; {rebuild(path)}")


def load(path, ids):
    """Open the flow cache for the videos `ids`, without its pictures. Raises InputError as `_group`."""
    motion = {}
    for video in ids:
        with _group(path, video) as group:
            motion[video] = Motion(group["valid"][:], group["magnitude"][:])
            gap, side = int(group.attrs["gap"]), group["features"].shape[-1]
        _must_be_finite(motion[video].magnitude, path, video, np.arange(len(motion[video].magnitude)))
    return FlowCache(path, gap, side, motion)


@dataclass
class Windows:
    """w windows: video [w] ids, start [w] int64 step, label [w] float32: 1 overlaps an expression, 0 does not."""

    video: np.ndarray
    start: np.ndarray
    label: np.ndarray

    def select(self, chosen):
        return Windows(self.video[chosen], self.start[chosen], self.label[chosen])


def labelled(flow, videos, events, others, ids, stride):
    """Every `stride`-th valid window of the videos `ids`; positive if it overlaps one of `events` at all (the paper's
    rule). Those that overlap only `others` (micro-expressions in a run on macros) are left out."""
    parts = []
    for video in ids:
        start = np.flatnonzero(flow.motion[video].valid)[::stride]
        window = np.stack([start, start + flow.gap + 1], axis=-1).astype(np.float64)

        def touched(table, video=video, window=window):
            spans = of_table(table[table.video_id == video], videos).spans
            return (intervals.intersection(window[:, None], spans[None]) > 0).any(axis=1)

        positive = touched(events)
        counted = positive | ~touched(others)
        parts.append((np.full(counted.sum(), video, dtype=object), start[counted], positive[counted]))
    video, start, label = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Windows(video, start, label.astype(np.float32))


def drawn(windows, settings, generator):
    """Windows with the more frequent label drawn down to `majority` times the other, and `max_windows` at most."""
    positive, negative = np.flatnonzero(windows.label == 1), np.flatnonzero(windows.label == 0)
    most = int(settings["majority"] * max(1, min(len(positive), len(negative))))
    chosen = [generator.permutation(side)[:most] for side in (positive, negative)]
    chosen = generator.permutation(np.concatenate(chosen))[: settings["max_windows"]]
    return windows.select(np.sort(chosen))


def apex_window(span, motion, gap):
    """Start of the window that leads to the apex of an interval `[start, end)`: onset to apex, `gap` steps apart.

    The apex is the step from whose past the face has moved most. It lies in the interval, and the window's middle not
    after the interval's, or else the way back to neutral could be taken. Differs from STR, which, where no apex is
    annotated, keeps the onset and takes the frame whose picture of flow since then has the largest sum.
    """
    n = len(motion.valid)
    first = int(np.floor(span[0]))
    last = max(first, int(min(span[1] - 1, (span[0] + span[1] + gap) / 2)))
    starts = np.unique(np.clip(np.arange(first, last + 1) - gap, 0, n - 1))
    return int(starts[motion.magnitude[starts].argmax()])


def apex_windows(flow, samples):
    """`apex_window` of every sample, `[n]` int64."""
    pairs = zip(samples.video, samples.spans, strict=True)
    return np.array([apex_window(span, flow.motion[video], flow.gap) for video, span in pairs], dtype=np.int64)
