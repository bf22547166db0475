"""LSSNet, two streams of I3D, anchors, and suppression of locations (Yu et al. 2021, ACM Multimedia).

"LSSNet: A two-stream convolutional neural network for spotting macro- and micro-expression clips in long videos".
Reproduced: the shared network (pyramid.py) with all its widths; location suppression before the head at the finest and
the coarsest level: each channel attends to its neighbours among the channels, values below a limit become zero; focal
loss, 1 - IoU for anchor-free and smooth L1 for anchor-based intervals; Adam with warm-up and cosine; both branches
together through NMS; only windows that hold an expression are trained on. Differs: one class, since a run's ground
truth is of its own expression types (theirs: macro and micro, and NMS for each); keys and values of the attention are
two tensors (their code lets the second overwrite the first); what is the same for LGSNet: see anchored.py. With a cache
of frames a segment is the mean of its 8 frames, and the first layer has the width of the features (experiment
`lssnet_resnet18`).

Own protocol: the threshold that is best on all test subjects; one prediction may stand for several ground truths. The
published numbers are also those of the epoch that is best on the test subjects: not reproduced, the last one counts.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from fedn_pipeline.peers import anchored, habits
from fedn_pipeline.peers.pyramid import Pyramid, convolution

HABIT = habits.Habit(
    "threshold best on all test subjects, many ground truths to one prediction; the last epoch, not the best on the "
    "test subjects",
    many_to_one=True,
)


class LocationSuppression(nn.Module):
    """`[B, E, l]` -> `[B, E, l]`, computed at half the width; attention among neighbouring channels.

    A channel sees `segments / l` neighbours: 4 at the level of 16 positions, 32 at that of 2.
    """

    def __init__(self, windows, own):
        super().__init__()
        width = own["reduced_width"] // 2
        self.segments, self.limit = windows["segments"], own["suppression_limit"]
        self.down, self.up = convolution(2 * width, width, 1), convolution(width, 2 * width, 1)
        self.query, self.key, self.value, self.out = (convolution(width, width, 1) for _ in range(4))
        self.widen, self.narrow = (
            convolution(a * width, b * width, 1) for a, b in ((1, own["mlp_ratio"]), (own["mlp_ratio"], 1))
        )
        self.dropout = nn.Dropout(own["dropout"])

    def located(self, x):
        """What is left of `x [B, E / 2, l]` where its values reach the limit: the attention alone, same shape."""
        width, neighbours = x.shape[1], self.segments // x.shape[2]

        def among(values):  # [B, width, l] -> [B, width, l, neighbours]; zeros beyond the first and the last channel
            before = neighbours // 2
            return F.pad(values, (0, 0, before, neighbours - before - 1)).unfold(1, neighbours, 1)

        likeness = torch.einsum("bcl,bcln->bcn", self.query(x), among(self.key(x))) / math.sqrt(width)
        values = among(self.value(x))
        values = torch.where(values < self.limit, torch.zeros_like(values), values)
        return torch.einsum("bcn,bcln->bcl", self.dropout(torch.softmax(likeness, dim=-1)), values)

    def forward(self, x):
        x = self.down(x)
        shape = x.shape[1:]
        x = F.layer_norm(self.dropout(self.out(self.located(x))) + x, shape)
        inner = self.narrow(self.dropout(F.mish(self.widen(x))))
        return self.up(F.layer_norm(self.dropout(inner) + x, shape))


def network(width, windows, own):
    """LSSNet for segments of `width` values; sections windows and lssnet."""
    return Pyramid(width, windows, own, LocationSuppression(windows, own))


def fit(task, inputs):
    """A trained Spotter."""
    return anchored.fit(task, inputs, network, HABIT)
