"""Windows over videos and the annotated events they hold (model.md, "Shapes").

A window is a start on the 30 fps axis and a rate: at rate r it reads every r-th frame, one a step, so that it spans r
times as long (`windows.rates`; the paper has rate 1 alone). The frames are gathered by index from one tensor that holds
all of a fold's features, so an epoch touches no disk, and a rate copies nothing. Frames beyond a video's end repeat its
last one.
"""

from dataclasses import dataclass, field

import numpy as np

from fedn_pipeline import intervals
from fedn_pipeline.model.geometry import frames_read, window_frames


@dataclass
class Windows:
    """W windows: video [W] index of the video; start [W] frame on its 30 fps axis; rate [W] frames in a step; int64."""

    video: np.ndarray
    start: np.ndarray
    rate: np.ndarray

    def __len__(self):
        return len(self.start)


def starts(n_steps, length, stride):
    """Starts of a video's windows `[w]`: every `stride`, the last at `n_steps - length`; one if it is shorter."""
    last = max(0, n_steps - length)
    regular = np.arange(0, last + 1, stride)
    return regular if regular[-1] == last else np.append(regular, last)


def cut(n_steps, settings, stride):
    """Windows of videos with `n_steps [V]` frames, every `stride` steps of each rate; by video, rate, start.

    A rate is left out for a video that a finer one already shows whole in one window.
    """
    length, rows = window_frames(settings), [np.zeros((0, 3), dtype=np.int64)]
    for video, n_frames in enumerate(n_steps):
        for rate in sorted(settings["rates"]):
            n_strided = -(-n_frames // rate)
            first = starts(n_strided, length, stride) * rate
            rows.append(np.stack(np.broadcast_arrays(video, first, rate), axis=1))
            if n_strided <= length:
                break
    return Windows(*np.concatenate(rows).T.copy())


def gather_index(windows, n_steps, settings, row_stride=1):
    """Rows that each window reads, `[W, rows]` int64, in the videos' features laid end to end.

    A row is a frame (a window reads 134), or a clip `row_stride` frames after the one before (it reads a clip for each
    segment). A step of r frames is seen by its middle one (of two the earlier), a segment by the clip in its middle. It
    is not their mean: that would smooth away what the network has learnt at rate 1, and need a copy of the features for
    each rate.
    """
    n_rows = np.asarray(n_steps) // row_stride
    if row_stride == 1:
        n_read, seen = frames_read(settings), 1  # rows of a window, frames that a row sees
    else:
        n_read, seen = window_frames(settings) // row_stride, settings["segment_frames"]
    first = np.concatenate([[0], np.cumsum(n_rows)])[windows.video]
    middle = windows.start + seen * (windows.rate - 1) // 2  # a row stands for `rate` times what it sees
    row = (middle // row_stride)[:, None] + windows.rate[:, None] * np.arange(n_read)
    return first[:, None] + np.minimum(row, n_rows[windows.video][:, None] - 1)


@dataclass
class Annotation:
    """One window's labels, in steps from its start: targets [g, 2], classes [g] int64, and what is neither target nor
    background: ignored [k, 2]; too_short, too_long [k, 2], which another rate answers for (see `targets.assign`). All
    but the ignored ones are clipped to the window."""

    targets: np.ndarray
    classes: np.ndarray
    ignored: np.ndarray
    too_short: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    too_long: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))


def left_to_others(spans, rate, settings):
    """Which events `[..., 2]` a rate is too fine or too coarse for, while another answers: `(too_short, too_long)`."""
    length, rates = intervals.length(spans), settings["rates"]
    too_short = (rate > min(rates)) & (length < settings["coarse_min_steps"] * rate)
    too_long = (rate < max(rates)) & (length * settings["min_inside"] >= window_frames(settings) * rate)
    return too_short, too_long


def annotate(windows, events, settings):
    """One Annotation per window. `events`: per video `(intervals [e, 2] on the 30 fps axis, classes [e])`.

    An event is a target when more than `min_inside` of it lies in the window (then it is clipped) and the window's rate
    answers for it; a class below 0 marks one that is never a target (a micro-expression in a run on macros). Every
    other event that the window touches is ignored, or `left_to_others`.
    """
    annotations, nothing = [], Annotation(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.zeros((0, 2)))
    for video, start, rate in zip(windows.video, windows.start, windows.rate, strict=True):
        spans, classes = events[video]
        length = window_frames(settings) * rate
        window = np.array([start, start + length], dtype=np.float64)
        touched = intervals.intersection(spans, window) > 0
        if not touched.any():  # nearly all windows of sparse annotations
            annotations.append(nothing)
            continue
        target = holds(spans, classes, window, rate, settings)
        rest, expression = touched & ~target, classes >= 0
        too_short, too_long = (rest & expression & which for which in left_to_others(spans, rate, settings))
        ignored = (spans[rest & ~too_short & ~too_long] - start) / rate
        clipped = np.clip(spans - start, 0, length) / rate
        annotations.append(Annotation(clipped[target], classes[target], ignored, clipped[too_short], clipped[too_long]))
    return annotations


def holds(spans, classes, window, rate, settings):
    """Which events are targets in a window: see `annotate`. Broadcasts over `[..., 2]`."""
    too_short, _ = left_to_others(spans, rate, settings)
    return (intervals.coverage(spans, window) > settings["min_inside"]) & (classes >= 0) & ~too_short


def choose_training(annotations, settings, generator):
    """Indices of the training windows: all that hold a target, and background ones (drawn if they are too many).

    Background windows touch no event that is ignored; at most `background_per_positive` of them per positive window.
    """
    positive = np.array([i for i, a in enumerate(annotations) if len(a.targets)], dtype=np.int64)
    empty = np.array([i for i, a in enumerate(annotations) if not len(a.targets) + len(a.ignored)], dtype=np.int64)
    most = int(settings["background_per_positive"] * max(1, len(positive)))
    if len(empty) > most:
        empty = np.sort(generator.choice(empty, most, replace=False))
    return np.concatenate([positive, empty])
