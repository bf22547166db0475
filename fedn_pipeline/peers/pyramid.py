"""The network that LSSNet and LGSNet share: segments of a window -> intervals and scores of every pyramid position.

Both descend from A2Net (Yang et al. 2020, "Revisiting anchor mechanisms for temporal action localization"). A base of
two convolutions with pooling, a pyramid of four levels, all narrowed to one width, and a head whose weights all levels
share: four towers, for score and interval of the anchor-free and the anchor-based branch. What sets the two networks
apart goes in between: `fusion` of the base's two outputs into the first level, `suppression` before the head.

Shapes: B windows, N = 64 segments, D values of a segment, E = 512, levels of 16, 8, 4, 2 positions; P = 180 predictions
as `model.geometry` orders them.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from fedn_pipeline.files import InputError
from fedn_pipeline.model.convolution import ProductConv1d
from fedn_pipeline.model.geometry import window_frames


def convolution(inputs, outputs, kernel, stride=1):
    """`[B, inputs, L]` -> `[B, outputs, L / stride]`."""
    return ProductConv1d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)


def level_lengths(windows, own):
    """Positions of each level; InputError if they do not follow from two poolings and the levels' strides."""
    lengths = [window_frames(windows) // stride for stride in own["level_strides"]]
    first, steps = windows["segments"] // own["base_pool"] ** 2, [a // b for a, b in pairwise(lengths)]
    if lengths[0] != first or any(a != b * step for (a, b), step in zip(pairwise(lengths), steps, strict=True)):
        raise InputError(f"level_strides: levels of {lengths} positions do not follow from a base that leaves {first}")
    if len(own["level_widths"]) != len(lengths):
        raise InputError("level_widths: one width for each of level_strides is needed")
    return lengths


class Base(nn.Module):
    """Segments `[B, D, N]` -> `[B, E, N / 2]` and `[B, E, N / 4]`."""

    def __init__(self, width, own):
        super().__init__()
        self.first = convolution(width, own["base_width"], own["base_kernel"])
        self.second = convolution(own["base_width"], own["base_width"], own["base_kernel"])
        self.pool = own["base_pool"]

    def forward(self, x):
        fine = F.max_pool1d(F.mish(self.first(x)), self.pool)
        return fine, F.max_pool1d(F.mish(self.second(fine)), self.pool)


class Tower(nn.Sequential):
    """`[B, E, l]` -> `[B, l * per_position, values]`, position-major."""

    def __init__(self, per_position, values, own):
        self.values = values
        widths = [own["reduced_width"], *[own["head_width"]] * own["head_layers"]]
        layers = [layer for a, b in pairwise(widths) for layer in (convolution(a, b, own["kernel"]), nn.Mish())]
        super().__init__(*layers, convolution(own["head_width"], per_position * values, own["kernel"]))

    def forward(self, x):
        out = super().forward(x)
        return out.transpose(1, 2).reshape(len(out), -1, self.values)


class Pyramid(nn.Module):
    """Segments `[B, N, D]` -> raw intervals `[B, P, 2]` (see `geometry.decode`) and score logits `[B, P, 1]`.

    `fusion(fine [B, E, 32], level [B, E, 16])` gives the first level anew; `suppression(x [B, E, l])` keeps its shape
    and stands before the head at the levels of `own["suppressed_strides"]`; None for either: nothing is there.
    """

    def __init__(self, width, windows, own, suppression, fusion=None):
        super().__init__()
        lengths, widths = level_lengths(windows, own), [own["base_width"], *own["level_widths"]]
        strides = [1, *[a // b for a, b in pairwise(lengths)]]
        self.base = Base(width, own)
        self.levels = nn.ModuleList(
            convolution(a, b, own["kernel"], step) for (a, b), step in zip(pairwise(widths), strides, strict=True)
        )
        self.fusion, self.suppression = fusion, suppression
        self.suppressed = [stride in own["suppressed_strides"] for stride in own["level_strides"]]
        self.narrow = nn.ModuleList(convolution(a, own["reduced_width"], 1) for a in own["level_widths"])
        based = len(own["anchor_widths"])
        self.towers = nn.ModuleDict({
            "free_interval": Tower(1, 2, own), "free_score": Tower(1, 1, own),
            "based_interval": Tower(based, 2, own), "based_score": Tower(based, 1, own),
        })  # fmt: skip
        for module in self.modules():
            if isinstance(module, nn.Conv1d):  # as both papers' code
                nn.init.kaiming_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def features(self, segments):
        """What the head sees of each level: `[B, 512, 16]`, 8, 4, 2."""
        fine, x = self.base(segments.transpose(1, 2))
        levels = []
        for level in self.levels:
            x = F.mish(level(x))
            levels.append(x)
        if self.fusion is not None:
            levels[0] = self.fusion(fine, levels[0])
        found = [F.mish(narrow(level)) for narrow, level in zip(self.narrow, levels, strict=True)]
        if self.suppression is None:
            return found
        return [self.suppression(x) if here else x for x, here in zip(found, self.suppressed, strict=True)]

    def forward(self, segments):
        out = {"interval": [], "score": []}
        for x in self.features(segments):
            for branch in ("free", "based"):  # the order of geometry.build
                for kind in out:
                    out[kind].append(self.towers[f"{branch}_{kind}"](x))
        return torch.cat(out["interval"], dim=1), torch.cat(out["score"], dim=1)
