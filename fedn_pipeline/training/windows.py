"""Windows over videos and the annotated events they hold (model.md, "Shapes").

A window is a start on the 30 fps axis; the frames it reads are gathered by index from one tensor that holds all of a
fold's features, so an epoch touches no disk. Frames beyond a video's end repeat its last one.
"""

from dataclasses import dataclass

import numpy as np

from fedn_pipeline import intervals
from fedn_pipeline.model.geometry import frames_read, window_frames


@dataclass
class Windows:
    """W windows: video [W] index of the video; start [W] frame on its 30 fps axis (both int64)."""

    video: np.ndarray
    start: np.ndarray

    def __len__(self):
        return len(self.start)


def starts(n_steps, length, stride):
    """Starts of a video's windows `[w]`: every `stride`, the last at `n_steps - length`; one if it is shorter."""
    last = max(0, n_steps - length)
    regular = np.arange(0, last + 1, stride)
    return regular if regular[-1] == last else np.append(regular, last)


def cut(n_steps, settings, stride):
    """All windows of videos with `n_steps [V]` at `stride`."""
    length = window_frames(settings)
    per_video = [starts(n, length, stride) for n in n_steps]
    video = np.repeat(np.arange(len(per_video)), [len(s) for s in per_video])
    return Windows(video, np.concatenate(per_video) if per_video else np.zeros(0, dtype=np.int64))


def gather_index(windows, n_steps, settings):
    """Row of every frame each window reads, `[W, frames_read]` int64, in the videos' features laid end to end."""
    n_steps = np.asarray(n_steps)
    first = np.concatenate([[0], np.cumsum(n_steps)])[windows.video]
    frame = windows.start[:, None] + np.arange(frames_read(settings))
    return first[:, None] + np.minimum(frame, n_steps[windows.video][:, None] - 1)


@dataclass
class Annotation:
    """One window's labels, frames from its start: targets [g, 2], classes [g] int64, ignored [k, 2] (other events)."""

    targets: np.ndarray
    classes: np.ndarray
    ignored: np.ndarray


def annotate(windows, events, settings):
    """One Annotation per window. `events`: per video `(intervals [e, 2] on the 30 fps axis, classes [e])`.

    An event is a target when more than `min_inside` of it lies in the window (then it is clipped); a class below 0
    marks one that is never a target (a micro-expression in a run on macros). Every other event that the window
    touches is ignored.
    """
    length, annotations = window_frames(settings), []
    for video, start in zip(windows.video, windows.start, strict=True):
        spans, classes = events[video]
        window = np.array([start, start + length], dtype=np.float64)
        target = (intervals.coverage(spans, window) > settings["min_inside"]) & (classes >= 0)
        touched = (intervals.intersection(spans, window) > 0) & ~target
        clipped = np.clip(spans[target] - start, 0, length)
        annotations.append(Annotation(clipped, classes[target], spans[touched] - start))
    return annotations


def choose_training(annotations, settings, generator):
    """Indices of the training windows: all that hold a target, and background ones (drawn if they are too many).

    Background windows touch no annotated event; at most `background_per_positive` of them per positive window.
    """
    positive = np.array([i for i, a in enumerate(annotations) if len(a.targets)], dtype=np.int64)
    empty = np.array([i for i, a in enumerate(annotations) if not len(a.targets) + len(a.ignored)], dtype=np.int64)
    most = int(settings["background_per_positive"] * max(1, len(positive)))
    if len(empty) > most:
        empty = np.sort(generator.choice(empty, most, replace=False))
    return np.concatenate([positive, empty])
