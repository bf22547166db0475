"""STR's shallow three-stream network: flow pictures -> spotting score and emotion (Liong, See, Chan 2023, "Spot-then-
recognize: A micro-expression analysis network for seamless evaluation of long videos", MEAN).

Reproduced: one convolution per picture of u, v and strain, merged by one more before a linear layer; a spotter trained
on 0 and 1 by squared error; a recogniser with its own merging layers on the spotter's frozen streams. Differs: pictures
are divided by the training windows' standard deviation, since they are not stretched to [0, 1] one by one (see
`features/flow.py`), and Adam's weight decay stands for L2 on the kernels.
"""

import math

import torch
from torch import nn

BATCH = 256  # pictures per forward pass outside training


class Streams(nn.Module):
    """Pictures `[B, 3, side, side]` of u, v, strain -> `[B, filters, s, s]`, `s = ceil(side / stream_pool)`."""

    def __init__(self, settings):
        super().__init__()
        self.register_buffer("scale", torch.ones(3))  # standard deviations over the training windows
        kernel, pool = settings["kernel"], settings["stream_pool"]
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(1, filters, kernel, padding="same"),
                nn.ReLU(),
                nn.BatchNorm2d(filters),
                nn.MaxPool2d(pool, ceil_mode=True),
            )
            for filters in settings["stream_filters"]
        )

    def forward(self, flow):
        flow = flow / self.scale[:, None, None]
        return torch.cat([stream(flow[:, i : i + 1]) for i, stream in enumerate(self.streams)], dim=1)


class Head(nn.Sequential):
    """Output of Streams -> `[B, outputs]`."""

    def __init__(self, side, outputs, settings):
        side = math.ceil(math.ceil(side / settings["stream_pool"]) / settings["merged_pool"])
        filters = settings["merged_filters"]
        super().__init__(
            nn.Dropout(settings["stream_dropout"]),
            nn.Conv2d(sum(settings["stream_filters"]), filters, settings["kernel"], padding="same"),
            nn.ReLU(),
            nn.MaxPool2d(settings["merged_pool"], ceil_mode=True),
            nn.Flatten(),
            nn.Dropout(settings["merged_dropout"]),
            nn.Linear(filters * side * side, outputs),
        )


class STR(nn.Module):
    """Both networks for pictures of `side` px and C emotions: `spotter(streams(x)) [B, 1]` is the score of a window,
    `recogniser(streams(x)) [B, C]` are the logits of its emotion. `settings` is section `str`."""

    def __init__(self, side, n_classes, settings):
        super().__init__()
        self.streams = Streams(settings)
        self.spotter = Head(side, 1, settings)
        self.recogniser = Head(side, n_classes, settings)


@torch.no_grad()
def in_batches(network, pictures, device):
    """`network(pictures)` on the CPU, without gradient, a few pictures at a time."""
    return torch.cat([network(part.to(device)).cpu() for part in pictures.split(BATCH)])
