"""LGSNet, LSSNet's successor with a model of the background (Yu et al. 2023, IEEE Transactions on Affective Computing).

"LGSNet: A two-stream network for micro- and macro-expression spotting with background modeling". Reproduced: the shared
network (pyramid.py) with all its widths; fusion of two temporal resolutions and receptive fields into the first level
(its TMRF3M); local suppression and global enhancement before the head there (its LSGEM): attention over the level gives
what is added, a gate in (0, 1) from the neighbourhood scales it; background windows, up to 3 per positive one, with one
pseudo interval each: its anchors are trained to score 0 and to fit it, those that half fit it are left alone; focal
loss, 1 - IoU, smooth L1; AdamW, which without weight decay is Adam. Differs: the lengths of pseudo intervals are drawn
from those of the fold's training expressions (theirs: three ranges tuned by hand for each data set); keys and values of
the local attention are two tensors (their code lets the second overwrite the first); what is the same for LSSNet: see
anchored.py. With a cache of frames a segment is the mean of its 8 frames, and the first layer has the width of the
features (experiment `lgsnet_resnet18`).

Own protocol: the threshold that is best on all test subjects; one prediction may stand for several ground truths. The
published numbers are also those of the epoch that is best on the test subjects, with at most 14 predictions a video:
neither is reproduced, the last epoch counts.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from fedn_pipeline.peers import anchored, habits
from fedn_pipeline.peers.pyramid import Pyramid, convolution, level_lengths
from fedn_pipeline.training.targets import NEGATIVE

HABIT = habits.Habit(
    "threshold best on all test subjects, many ground truths to one prediction; the last epoch, not the best on the "
    "test subjects",
    many_to_one=True,
)


class Fields(nn.Module):
    """Two receptive fields and a gate for each position: `[B, inputs, l]` -> `[B, outputs, l / stride]`.

    A convolution of kernel 3 plus one of kernel 1. With the shape kept, the gated input is added, else their sum is
    gated. A gate is one fully connected layer over the means of all positions.
    """

    def __init__(self, inputs, outputs, positions, own, stride=1):
        super().__init__()
        groups = own["group_norm_groups"]
        self.keeps, self.stride, self.pool = inputs == outputs and stride == 1, stride, own["base_pool"]
        self.wide = nn.Sequential(convolution(inputs, outputs, own["kernel"], stride), nn.GroupNorm(groups, outputs))
        self.narrow = nn.Sequential(convolution(inputs, outputs, 1), nn.GroupNorm(groups, outputs))
        self.norm = nn.GroupNorm(groups, inputs) if self.keeps else nn.Identity()
        self.gate = nn.Linear(positions, positions // stride)

    def forward(self, x):
        normal = self.norm(x)
        gate = torch.sigmoid(self.gate(normal.mean(1)))[:, None]
        if self.keeps:
            return F.mish(self.wide(x) + self.narrow(x) + normal * gate)
        pooled = F.max_pool1d(F.pad(x, (0, self.pool - self.stride)), self.pool, self.stride)
        return F.mish(gate * (self.wide(x) + self.narrow(pooled)))


class Fusion(nn.Module):
    """Temporal multi-receptive field feature fusion: fine `[B, E, 2l]`, level `[B, E, l]` -> `[B, E, l]`."""

    def __init__(self, positions, own):
        super().__init__()
        width, groups, ratio = own["base_width"], own["group_norm_groups"], own["base_pool"]
        self.coarse = nn.Sequential(Fields(width, width, positions, own), nn.GroupNorm(groups, width))
        self.fine = nn.Sequential(
            Fields(width, width, ratio * positions, own),
            Fields(width, width, ratio * positions, own, stride=ratio),
            nn.GroupNorm(groups, width),
        )
        self.both = Fields(2 * width, width, positions, own)

    def forward(self, fine, level):
        return self.both(torch.cat([self.fine(fine), self.coarse(level)], dim=1))


class SuppressionEnhancement(nn.Module):
    """Local suppression and global enhancement: `[B, E, l]` -> `[B, E, l]`."""

    def __init__(self, own):
        super().__init__()
        width = own["reduced_width"]
        self.share = own["neighbourhood"]
        self.query, self.key, self.value, self.out = (convolution(width, width, 1) for _ in range(4))
        self.local = convolution(1, 1, 1)
        self.attention_dropout, self.dropout = nn.Dropout(own["attention_dropout"]), nn.Dropout(own["dropout"])
        self.widen, self.narrow = nn.Linear(width, own["mlp_ratio"] * width), nn.Linear(own["mlp_ratio"] * width, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)

    def gate(self, query, key, value):
        """How much of each position passes, `[B, 1, l]` in (0, 1), from those around it; all of `[B, E, l]`."""
        around = max(1, round(self.share * key.shape[2]))

        def near(values):  # [B, E, l] -> [B, E, l, around]; zeros beyond both ends
            before = around // 2
            return F.pad(values, (before, around - before - 1)).unfold(2, around, 1)

        likeness = torch.einsum("bcl,bcln->bln", query, near(key)) / math.sqrt(query.shape[1])
        weights = self.attention_dropout(torch.softmax(likeness, dim=-1))
        return torch.sigmoid(self.local(torch.einsum("bln,bcln->bcl", weights, near(value)).mean(1, keepdim=True)))

    def forward(self, x):
        query, key, value = self.query(x), self.key(x), self.value(x)
        likeness = query.transpose(1, 2) @ key / math.sqrt(x.shape[1])
        weights = self.attention_dropout(torch.softmax(likeness, dim=-1))  # [B, l, l]
        enhanced = self.out(value @ weights.transpose(1, 2)) * self.gate(query, key, value)
        x = self.first((self.dropout(enhanced) + x).transpose(1, 2))  # [B, l, E]
        inner = self.narrow(self.dropout(F.mish(self.dropout(self.widen(x)))))
        return self.second(self.dropout(inner) + x).transpose(1, 2)


def pseudo_intervals(assigned, grid, lengths, settings, generator):
    """Put one pseudo interval into each background window of Targets: which anchors fit it, `[W, P]` bool.

    Those are negatives whose interval is regressed; which half fit it become IGNORED. `lengths [n]` frames of the
    training expressions, of which each draws one; `settings`: windows and section lgsnet.
    """
    background = (assigned.classes == NEGATIVE).all(1)
    window = settings["windows"]["segments"] * settings["windows"]["segment_stride"]
    length = np.minimum(generator.choice(lengths, int(background.sum())), window)
    start = generator.uniform(0, window - length)
    spans = np.stack([start, start + length], axis=-1)
    found = anchored.assign(spans, grid, settings).to(background.device)
    matched = found.classes >= 0
    fits = torch.zeros_like(assigned.classes, dtype=torch.bool)
    fits[background] = matched & ~grid.anchor_free.to(background.device)
    assigned.classes[background] = found.classes.masked_fill(matched, NEGATIVE)
    assigned.intervals[background] = found.intervals
    return fits


def network(width, windows, own):
    """LGSNet for segments of `width` values; sections windows and lgsnet."""
    fusion = Fusion(level_lengths(windows, own)[0], own)
    return Pyramid(width, windows, own, SuppressionEnhancement(own), fusion)


def fit(task, inputs):
    """A trained Spotter."""
    return anchored.fit(task, inputs, network, HABIT, pseudo_intervals)
