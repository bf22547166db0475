"""FEDN from cached features to raw predictions, top to bottom (Fang et al. 2025, arXiv 2504.07660; model.md).

Shapes: B windows, N = 64 segments, D = 512 backbone values, E = 512 embedding, levels of 16, 8, 4, 2 positions, each
with 1 anchor-free and 5 anchor-based predictions: P = 180 per window, C emotions. The paper's variants are settings of
section `model` (model.md, "Variants").
"""

import math
from itertools import pairwise

import torch
from torch import nn

from fedn_pipeline.files import InputError
from fedn_pipeline.model import geometry, shared_segments
from fedn_pipeline.model.convolution import conv1d
from fedn_pipeline.model.segments import SegmentFusion


class TrainingNorm(nn.Module):
    """Values of frames `[..., D]`, each less its mean and in deviations, both over the training videos.

    Buffers, kept with the weights; the training loop sets them (`data.Videos.moments`).
    """

    def __init__(self, width):
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def forward(self, x):
        return (x - self.mean) / self.deviation


class WindowAttention(nn.Module):
    """Sliding-window attention: a convolution scores the segments, softmax over N weighs them: `[B, E, N]`."""

    def __init__(self, model):
        super().__init__()
        kernel = model["window_attention_kernel"]
        self.score = conv1d(model, model["embedding"], 1, kernel)

    def forward(self, x):
        return x * torch.softmax(self.score(x), dim=-1) * x.shape[-1]  # times N: the softmax shrinks 64-fold


def conv_block(inputs, outputs, model, stride=1):
    """1D convolution, GroupNorm, ReLU: `[B, inputs, L]` -> `[B, outputs, L / stride]`."""
    return nn.Sequential(
        conv1d(model, inputs, outputs, model["kernel"], stride, bias=False),
        nn.GroupNorm(model["group_norm_groups"], outputs),
        nn.ReLU(inplace=True),
    )


class Branch(nn.Module):
    """One branch of the head on one level: attention over positions, then decoupled interval and recognition layers.

    `[B, channels, l]` -> raw intervals `[B, l * per_position, 2]` and logits `[B, l * per_position, C]`. With
    `coupled_head` the outputs share all layers but the last; with `confidence_branch` a third output, objectness, of
    the same form comes after the C logits.
    """

    def __init__(self, model, per_position, classes):
        super().__init__()
        channels, hidden, kernel = model["channels"], model["head_width"], model["kernel"]
        self.per_position = per_position
        self.attention = nn.MultiheadAttention(channels, model["attention_heads"], batch_first=True)
        self.norm = nn.LayerNorm(channels)

        def layers():
            widths = [channels] + [hidden] * model["head_layers"]
            return [conv_block(a, b, model) for a, b in pairwise(widths)]

        def tower(values):
            own = [] if model["coupled_head"] else layers()
            return nn.Sequential(*own, conv1d(model, hidden, values * per_position, kernel))

        self.shared = nn.Sequential(*layers()) if model["coupled_head"] else nn.Identity()
        self.interval = tower(2)
        self.recognition = tower(classes)
        self.confidence = tower(1) if model["confidence_branch"] else None
        for probability in filter(None, (self.recognition, self.confidence)):
            nn.init.normal_(probability[-1].weight, std=0.01)
            nn.init.constant_(probability[-1].bias, math.log(model["class_prior"] / (1 - model["class_prior"])))

    def forward(self, x):
        positions = x.transpose(1, 2)  # [B, l, channels]
        attended = self.attention(positions, positions, positions, need_weights=False)[0]
        x = self.shared(self.norm(positions + attended).transpose(1, 2))
        batch, n = x.shape[0], x.shape[-1]

        def per_prediction(out):  # [B, per_position * values, l] -> [B, l * per_position, values]
            return out.transpose(1, 2).reshape(batch, n * self.per_position, -1)

        logits = per_prediction(self.recognition(x))
        if self.confidence is not None:
            logits = torch.cat([logits, per_prediction(self.confidence(x))], dim=-1)
        return per_prediction(self.interval(x)), logits


class FEDN(nn.Module):
    """Features `[B, rows_read, D]` -> raw intervals `[B, P, 2]`, logits `[B, P, C]`.

    `geometry.decode` turns raw intervals into frames; the sigmoid of a logit is that emotion's probability, the
    highest one the confidence, its class the label: there is no background class. With `confidence_branch` the logits
    are `[B, P, C + 1]`: softmax over C names the emotion, the sigmoid of the last is the confidence. With
    `clip_features` a row is a clip of 8 frames, which is a segment: one linear layer replaces segment attention.
    """

    def __init__(self, windows, model, classes):
        super().__init__()
        channels = model["channels"]
        # Without learnt scale and shift, which the linear layers behind it hold: no gradient to the features is needed.
        self.input_norm = (
            TrainingNorm(model["feature_width"])
            if model["input_norm"] == "training"
            else nn.LayerNorm(model["feature_width"], elementwise_affine=False)
        )
        self.clips, self.form = model["clip_features"], model["form"]
        self.segments = (
            nn.Linear(model["feature_width"], model["embedding"]) if self.clips else SegmentFusion(windows, model)
        )
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
        return self.detect(self.segments.literal(x) if literal and not self.clips else self.segments(x))

    def of_windows(self, features, index):
        """`forward` of rows `[B, rows_read]` of features `[all rows, D]`, by `model.form`."""
        if self.form == "fast":
            return self.detect(shared_segments.embed(self, features, index))
        return self(features[index].float(), literal=self.form == "literal")

    def detect(self, segments):
        """Segment embeddings `[B, N, E]` -> what `forward` returns."""
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
    """The network and its geometry for all settings and `classes` emotions. Raises InputError where settings clash."""
    windows, model = settings["windows"], settings["model"]
    for key in ("feature_width", "channels"):
        if model[key] % model["attention_heads"]:
            raise InputError(f"model.{key}: must be a multiple of model.attention_heads")
    if model["confidence_branch"] and not model["recognition"]:
        raise InputError("model.confidence_branch: needs model.recognition; the one logit of spotting is a confidence")
    length, first = geometry.window_frames(windows), model["level_strides"][0]
    if windows["segments"] // 4 != length // first:
        raise InputError(f"model.level_strides: the first level must be {4 * windows['segment_stride']} frames")
    return FEDN(windows, model, classes), geometry.build(windows, model)
