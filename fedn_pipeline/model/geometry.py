"""Where each of the network's predictions stands in the window, and how its two numbers become an interval.

A window has `P` predictions: for each pyramid level in turn its anchor-free positions, then its anchor-based ones
(position-major). Everything is in frames of the 30 fps axis from the window's start. Encoding of LGSNet / LSSNet
(model.md, "Head").
"""

from dataclasses import dataclass

import torch

from fedn_pipeline.files import InputError


@dataclass(frozen=True)
class Geometry:
    """Fixed numbers of the `P` predictions of one window.

    level [P] int64; stride [P] frames; anchor_free [P] bool; point [P] position or anchor centre in frames;
    width [P] anchor width in frames (the stride for anchor-free ones); max_log_width: clamp of `dw`.
    """

    level: torch.Tensor
    stride: torch.Tensor
    anchor_free: torch.Tensor
    point: torch.Tensor
    width: torch.Tensor
    max_log_width: float

    def to(self, device):
        moved = {name: getattr(self, name).to(device) for name in ("level", "stride", "anchor_free", "point", "width")}
        return Geometry(**moved, max_log_width=self.max_log_width)

    @property
    def anchors(self):
        """Anchor intervals `[P, 2]` half-open; an anchor-free prediction's anchor is its point, of length 0."""
        half = torch.where(self.anchor_free, torch.zeros_like(self.width), self.width / 2)
        return torch.stack([self.point - half, self.point + half], dim=-1)


def window_frames(windows):
    """Nominal length of a window in frames: segments x stride (128)."""
    return windows["segments"] * windows["segment_stride"]


def frames_read(windows):
    """Frames a window reads, its last segments' look-ahead included (134)."""
    return window_frames(windows) + windows["segment_frames"] - windows["segment_stride"]


def row_stride(windows, model):
    """Frames from one row of the feature cache to the next: 1, or the segments' stride where a row is a clip."""
    return windows["segment_stride"] if model["clip_features"] else 1


def rows_read(windows, model):
    """Rows of the feature cache that a window reads: 134 frames, or its 64 clips (a clip is a segment)."""
    return windows["segments"] if model["clip_features"] else frames_read(windows)


def build(windows, model):
    """The geometry for settings `windows` and `model`. Raises InputError if strides, levels and window do not fit."""
    length, parts = window_frames(windows), []
    if len(model["level_ranges"]) != len(model["level_strides"]):
        raise InputError("model.level_ranges: one range for each of model.level_strides is needed")
    for level, stride in enumerate(model["level_strides"]):
        if length % stride:
            raise InputError(f"model.level_strides: {stride} does not divide the window of {length} frames")
        points = (torch.arange(length // stride) + 0.5) * stride
        widths = torch.tensor(model["anchor_widths"], dtype=torch.float32) * stride
        free = (points, torch.full_like(points, stride), torch.ones(len(points), dtype=torch.bool))
        based_points = points.repeat_interleave(len(widths))
        based = (based_points, widths.repeat(len(points)), torch.zeros(len(based_points), dtype=torch.bool))
        for point, width, anchor_free in (free, based):
            parts.append((torch.full((len(point),), level), torch.full_like(point, stride), anchor_free, point, width))
    columns = [torch.cat(column) for column in zip(*parts, strict=True)]
    return Geometry(*columns, max_log_width=model["max_log_width"])


def decode(raw, geometry):
    """Raw interval outputs `[..., P, 2]` -> half-open intervals `[..., P, 2]` in frames.

    Anchor-free: `(p - start) / s, (end - p) / s`, made non-negative by softplus. Anchor-based: `dx, dw`.
    """
    distance = torch.nn.functional.softplus(raw) * geometry.stride[:, None]
    free = torch.stack([geometry.point - distance[..., 0], geometry.point + distance[..., 1]], dim=-1)
    centre = geometry.point + raw[..., 0] * geometry.width
    half = geometry.width * torch.exp(raw[..., 1].clamp(max=geometry.max_log_width)) / 2
    based = torch.stack([centre - half, centre + half], dim=-1)
    return torch.where(geometry.anchor_free[:, None], free, based)


def encode(intervals, geometry):
    """Inverse of `decode` for intervals `[..., P, 2]` (anchor-free ones must hold their point inside)."""
    distance = torch.stack([geometry.point - intervals[..., 0], intervals[..., 1] - geometry.point], dim=-1)
    distance = distance / geometry.stride[:, None]
    free = distance + torch.log(-torch.expm1(-distance))  # inverse of softplus
    shift = (intervals.sum(-1) / 2 - geometry.point) / geometry.width
    scale = torch.log((intervals[..., 1] - intervals[..., 0]) / geometry.width)
    return torch.where(geometry.anchor_free[:, None], free, torch.stack([shift, scale], dim=-1))
