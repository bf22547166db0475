"""FEDN from cached features to raw predictions, top to bottom (Fang et al. 2025, arXiv 2504.07660; model.md).

Shapes: B windows, N = 64 segments, D = 512 backbone values, E = 512 embedding, levels of 16, 8, 4, 2 positions, each
with 1 anchor-free and 5 anchor-based predictions: P = 180 per window, C emotions.
"""

import math
from itertools import pairwise

import torch
from torch import nn

from fedn_pipeline.files import InputError
from fedn_pipeline.model import geometry
from fedn_pipeline.model.segments import SegmentFusion


class WindowAttention(nn.Module):
    """Sliding-window attention: a convolution scores the segments, softmax over N weighs them: `[B, E, N]`."""

    def __init__(self, model):
        super().__init__()
        kernel = model["window_attention_kernel"]
        self.score = nn.Conv1d(model["embedding"], 1, kernel, padding=kernel // 2)

    def forward(self, x):
        return x * torch.softmax(self.score(x), dim=-1) * x.shape[-1]  # times N: the softmax shrinks 64-fold


def conv_block(inputs, outputs, model, stride=1):
    """1D convolution, GroupNorm, ReLU: `[B, inputs, L]` -> `[B, outputs, L / stride]`."""
    kernel = model["kernel"]
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.GroupNorm(model["group_norm_groups"], outputs),
        nn.ReLU(inplace=True),
    )


class Branch(nn.Module):
    """One branch of the head on one level: attention over positions, then decoupled interval and recognition layers.

    `[B, channels, l]` -> raw intervals `[B, l * per_position, 2]` and logits `[B, l * per_position, C]`.
    """

    def __init__(self, model, per_position, classes):
        super().__init__()
        channels, hidden, kernel = model["channels"], model["head_width"], model["kernel"]
        self.attention = nn.MultiheadAttention(channels, model["attention_heads"], batch_first=True)
        self.norm = nn.LayerNorm(channels)

        def tower(outputs):
            widths = [channels] + [hidden] * model["head_layers"]
            layers = [conv_block(a, b, model) for a, b in pairwise(widths)]
            return nn.Sequential(*layers, nn.Conv1d(hidden, outputs, kernel, padding=kernel // 2))

        self.interval = tower(2 * per_position)
        self.recognition = tower(classes * per_position)
        nn.init.normal_(self.recognition[-1].weight, std=0.01)
        nn.init.constant_(self.recognition[-1].bias, math.log(model["class_prior"] / (1 - model["class_prior"])))

    def forward(self, x):
        positions = x.transpose(1, 2)  # [B, l, channels]
        attended = self.attention(positions, positions, positions, need_weights=False)[0]
        x = self.norm(positions + attended).transpose(1, 2)
        batch, _, n = x.shape

        def per_prediction(out):  # [B, per_position * values, l] -> [B, l * per_position, values]
            return out.transpose(1, 2).reshape(batch, n * self.per_position, -1)

        return per_prediction(self.interval(x)), per_prediction(self.recognition(x))

    @property
    def per_position(self):
        return self.interval[-1].out_channels // 2


class FEDN(nn.Module):
    """Features `[B, frames_read, D]` -> raw intervals `[B, P, 2]`, logits `[B, P, C]`.

    `geometry.decode` turns raw intervals into frames; the sigmoid of a logit is that emotion's probability, the
    highest one the confidence, its class the label: there is no background class.
    """

    def __init__(self, windows, model, classes):
        super().__init__()
        channels = model["channels"]
        # Without scale and shift, which the linear layers behind it hold anyway: no gradient to the features is needed.
        self.input_norm = nn.LayerNorm(model["feature_width"], elementwise_affine=False)
        self.segments = SegmentFusion(windows, model)
        self.window_attention = WindowAttention(model) if model["window_attention"] else nn.Identity()
        self.blocks = nn.Sequential(
            conv_block(model["embedding"], channels, model, stride=2),
            conv_block(channels, channels, model, stride=2),
        )
        strides = model["level_strides"]
        self.neck = nn.ModuleList(conv_block(channels, channels, model, stride=b // a) for a, b in pairwise(strides))
        self.anchor_free = nn.ModuleList(Branch(model, 1, classes) for _ in strides)
        self.anchor_based = nn.ModuleList(Branch(model, len(model["anchor_widths"]), classes) for _ in strides)

    def forward(self, x, literal=False):
        x = self.input_norm(x)
        segments = self.segments.literal(x) if literal else self.segments(x)  # [B, N, E]
        x = self.window_attention(segments.transpose(1, 2))  # [B, E, N]
        levels = [self.blocks(x)]  # [B, channels, 16]
        for down in self.neck:
            levels.append(down(levels[-1]))  # 8, 4, 2
        outputs = []
        for level, free, based in zip(levels, self.anchor_free, self.anchor_based, strict=True):
            outputs += [free(level), based(level)]  # the order of geometry.build
        intervals, logits = zip(*outputs, strict=True)
        return torch.cat(intervals, dim=1), torch.cat(logits, dim=1)


def build(settings, classes):
    """The network and its geometry for all settings and `classes` emotions."""
    windows, model = settings["windows"], settings["model"]
    for key in ("feature_width", "channels"):
        if model[key] % model["attention_heads"]:
            raise InputError(f"model.{key}: must be a multiple of model.attention_heads")
    length, first = geometry.window_frames(windows), model["level_strides"][0]
    if windows["segments"] // 4 != length // first:
        raise InputError(f"model.level_strides: the first level must be {4 * windows['segment_stride']} frames")
    return FEDN(windows, model, classes), geometry.build(windows, model)
