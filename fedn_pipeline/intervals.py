"""The one vocabulary of interval arithmetic, shared by targets, losses, NMS and evaluation.

An interval is half-open and real-valued, `[start, end)`, stored in the last axis of an array `[..., 2]`.
Annotations and detections are inclusive integer frames `[onset, offset]` (evaluation.md); `half_open` and
`inclusive` convert. Every function takes NumPy arrays or torch tensors and returns the same kind; this module
does not import torch. Losses: Zheng et al. 2020 (DIoU) and Rezatofighi et al. 2019 (GIoU), in one dimension.
"""

import sys

import numpy as np

FEATURE_FPS = 30  # the time axis of every feature, window and target (model.md, "Shapes")


def _library(array):
    """NumPy for an ndarray, torch for a tensor (then torch is already imported by the caller)."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def half_open(onset, offset):
    """Inclusive frames -> half-open intervals `[..., 2]` float64."""
    onset, offset = np.asarray(onset, dtype=np.float64), np.asarray(offset, dtype=np.float64)
    return np.stack([onset, offset + 1], axis=-1)


def inclusive(intervals):
    """Half-open intervals `[..., 2]` -> integer `(onset, offset)`, at least one frame long (model.md)."""
    onset = np.rint(intervals[..., 0]).astype(np.int64)
    offset = np.maximum(onset, np.rint(intervals[..., 1]).astype(np.int64) - 1)
    return onset, offset


def length(a):
    """Length of each interval `[...]`, never negative."""
    return (a[..., 1] - a[..., 0]).clip(min=0)


def intersection(a, b):
    """Elementwise length of the overlap of `a` and `b` `[..., 2]` (broadcasting)."""
    lib = _library(a)
    return (lib.minimum(a[..., 1], b[..., 1]) - lib.maximum(a[..., 0], b[..., 0])).clip(min=0)


def iou(a, b, eps=1e-9):
    """Elementwise intersection over union `[...]` in [0, 1] (broadcasting)."""
    overlap = intersection(a, b)
    return overlap / (length(a) + length(b) - overlap).clip(min=eps)


def pairwise_iou(a, b):
    """`a [n, 2]`, `b [m, 2]` -> IoU `[n, m]`."""
    return iou(a[:, None, :], b[None, :, :])


def coverage(inner, outer, eps=1e-9):
    """Fraction of `inner` that lies inside `outer`, elementwise `[...]`."""
    return intersection(inner, outer) / length(inner).clip(min=eps)


def _enclosing(a, b, eps):
    lib = _library(a)
    return (lib.maximum(a[..., 1], b[..., 1]) - lib.minimum(a[..., 0], b[..., 0])).clip(min=eps)


def giou(a, b, eps=1e-9):
    """Elementwise generalised IoU in (-1, 1]: IoU minus the empty share of the smallest enclosing interval."""
    overlap = intersection(a, b)
    union = length(a) + length(b) - overlap
    enclosing = _enclosing(a, b, eps)
    return overlap / union.clip(min=eps) - (enclosing - union) / enclosing


def diou(a, b, eps=1e-9):
    """Elementwise distance IoU in (-1, 1]: IoU minus (centre distance / enclosing length) squared."""
    centre_distance = (a.sum(-1) - b.sum(-1)) / 2
    return iou(a, b, eps) - (centre_distance / _enclosing(a, b, eps)) ** 2


def n_steps(n_frames, fps):
    """Number of steps on the feature axis of a video of `n_frames` at `fps`, at least one."""
    return max(1, round(n_frames * FEATURE_FPS / fps))


def source_frames(n_frames, fps):
    """Nearest source frame of each step on the feature axis, `[n_steps]` int64; of two the earlier.

    So a frame at 15 fps fills the two steps that `to_feature_axis` gives it.
    """
    steps = np.arange(n_steps(n_frames, fps))
    return np.minimum(np.ceil(steps * fps / FEATURE_FPS - 0.5).astype(np.int64), n_frames - 1)


def to_feature_axis(intervals, fps):
    """Half-open intervals in source frames -> in steps of the 30 fps axis."""
    return intervals * (FEATURE_FPS / fps)


def to_source_axis(intervals, fps):
    """Half-open intervals in steps of the 30 fps axis -> in source frames."""
    return intervals * (fps / FEATURE_FPS)
