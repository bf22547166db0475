"""Inception-v1 I3D, one stream of the two-stream backbone of the experiment `i3d`, and the user's weights for it.

Paper: Carreira & Zisserman 2017, "Quo Vadis, Action Recognition?" (arXiv 1705.07750), with the branch widths of
GoogLeNet (Szegedy et al. 2015, Table 1). A clip of 8 pictures of 224x224 costs 13.894 (RGB) and 12.792 (flow) GMAC;
12.29 M and 12.27 M parameters without the classifier, which is left out here.
Weights: none are shipped. Read are the PyTorch ports of DeepMind's Kinetics/ImageNet checkpoints (Apache-2.0) with
keys like `Mixed_3b.b1a.conv3d.weight` (rgb_imagenet.pt, flow_imagenet.pt; this module's own names) or
`mixed_3b.branch_1.0.conv3d.weight` (model_rgb.pth, model_flow.pth), under any wrappers and prefixes.
"""

import math
import re
from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

from fedn_pipeline import __version__, tensor_file
from fedn_pipeline.features import backbone, checkpoint
from fedn_pipeline.files import InputError

NAME = "i3d"  # `network` in the description of the weights
CHANNELS = {"rgb": 3, "flow": 2}  # of each stream's input; the features are concatenated in this order
WIDTH = 1024  # of one stream
BATCH_NORM_EPS = 1e-3  # what the published weights were trained with
# Inception modules: 1x1; 1x1 and 3x3x3; 1x1 and 3x3x3; 1x1 after pooling (GoogLeNet's Table 1, 3a to 5b).
MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
POOLED_BEFORE = {"Mixed_4b": ((3, 3, 3), (2, 2, 2)), "Mixed_5b": ((2, 2, 2), (2, 2, 2))}  # kernel and stride
_TRUNK = re.compile(r"(?P<prefix>(?:.*?\.)??)(?P<name>(?:Conv3d_[12][abc]|Mixed_[345][bcdef])\w*\..*)")
_OTHER_PORT = {
    "conv3d_1": "Conv3d_1", "conv3d_2": "Conv3d_2", "mixed_": "Mixed_", "batch3d": "bn", "branch_0.": "b0.",
    "branch_1.0.": "b1a.", "branch_1.1.": "b1b.", "branch_2.0.": "b2a.", "branch_2.1.": "b2b.", "branch_3.1.": "b3b.",
}  # fmt: skip


def _same(x, kernel, stride):
    """`x [B, C, T, H, W]` with zeros around it, the odd one behind: the output has ceil(size / stride) positions.

    TensorFlow's rule, by which the weights were trained. Zeros do for pooling too: it follows a ReLU.
    """
    pads = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max((math.ceil(size / s) - 1) * s + k - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads) if any(pads) else x


class Convolution(nn.Module):
    """3D convolution, batch norm, ReLU: `[B, inputs, T, H, W]` -> `[B, outputs, T/stride, H/stride, W/stride]`."""

    def __init__(self, inputs, outputs, kernel=1, stride=1):
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=BATCH_NORM_EPS)

    def forward(self, x):
        return F.relu(self.bn(self.conv3d(_same(x, self.conv3d.kernel_size, self.conv3d.stride))), inplace=True)


class Pool(nn.Module):
    """Largest value of each `kernel`, both `(T, H, W)`."""

    def __init__(self, kernel, stride):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x):
        return F.max_pool3d(_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Inception module: four branches side by side, `[B, inputs, T, H, W]` -> `[B, w0 + w2 + w4 + w5, T, H, W]`."""

    def __init__(self, inputs, widths):
        super().__init__()
        self.b0 = Convolution(inputs, widths[0])
        self.b1a, self.b1b = Convolution(inputs, widths[1]), Convolution(widths[1], widths[2], 3)
        self.b2a, self.b2b = Convolution(inputs, widths[3]), Convolution(widths[3], widths[4], 3)
        self.b3a, self.b3b = Pool((3, 3, 3), (1, 1, 1)), Convolution(inputs, widths[5])

    def forward(self, x):
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


def build(channels):
    """One stream with random weights: clips `[B, channels, T, H, W]` in [-1, 1] -> `[B, 1024]`, global average."""
    layers = OrderedDict(  # sizes for clips of 8 x 224 x 224
        Conv3d_1a_7x7=Convolution(channels, 64, 7, 2),  # 4 x 112 x 112
        MaxPool3d_2a_3x3=Pool((1, 3, 3), (1, 2, 2)),  # 4 x 56 x 56
        Conv3d_2b_1x1=Convolution(64, 64),
        Conv3d_2c_3x3=Convolution(64, 192, 3),
        MaxPool3d_3a_3x3=Pool((1, 3, 3), (1, 2, 2)),  # 4 x 28 x 28
    )
    width = 192
    for name, widths in MIXED.items():
        if name in POOLED_BEFORE:  # 2 x 14 x 14, then 1 x 7 x 7
            layers[f"{name}_pool"] = Pool(*POOLED_BEFORE[name])
        layers[name] = Mixed(width, widths)
        width = widths[0] + widths[2] + widths[4] + widths[5]
    return nn.Sequential(layers | {"average": nn.AdaptiveAvgPool3d(1), "flatten": nn.Flatten()})


def convert(paths, out):
    """Write the weights in `paths` (stream -> the user's file) to `out`, one safetensors file; their description.

    Raises InputError as `checkpoint.find` does, or where a file holds the other stream.
    """
    tensors, streams = {}, {}
    for stream in CHANNELS:
        weights, streams[stream] = checkpoint.find(paths[stream], _networks, _fit(stream), f"{stream} I3D")
        tensors |= {f"{stream}.{name}": value for name, value in weights.items()}
    origins = dict.fromkeys(description["origin"] for description in streams.values())
    description = {"network": NAME, "origin": " + ".join(origins), "streams": streams, "version": __version__}
    tensor_file.save(out, tensors, description)
    return description


def load(path):
    """Both frozen streams by name, from a file that `convert` wrote; batch norms folded in."""
    tensors, description = backbone.read(path)
    if description.get("network") != NAME:
        raise InputError(f"{path}: no I3D weights; `fedn-pipeline backbone --i3d RGB FLOW` makes them from your own")
    networks = {}
    for stream, channels in CHANNELS.items():
        named = {name.removeprefix(f"{stream}."): t for name, t in tensors.items() if name.startswith(f"{stream}.")}
        weights, faults = _fit(stream)(named)
        if faults:
            raise InputError(f"{path}: {stream} stream: {'; '.join(faults)}")
        with torch.device("meta"):  # no random weights: the file's take their place
            networks[stream] = build(channels)
        networks[stream].load_state_dict(weights, assign=True)
        fold_batch_norms(networks[stream].eval()).requires_grad_(False)
    return networks


def fold_batch_norms(network):
    """Fold each batch norm into the convolution before it: the same function, fewer passes over memory."""
    for unit in network.modules():
        if isinstance(unit, Convolution):
            unit.conv3d, unit.bn = nn.utils.fusion.fuse_conv_bn_eval(unit.conv3d, unit.bn), nn.Identity()
    return network


def _fit(stream):
    """Function of a trunk -> `(weights, faults)` for one stream (checkpoint.match)."""
    with torch.device("meta"):
        wanted = build(CHANNELS[stream]).state_dict()
    return lambda trunk: checkpoint.match(trunk, wanted, f"{stream} I3D")


def _networks(tensors, place):
    """Yield `(where, trunk, heads)` for every prefix under which a stem stands, as checkpoint.find wants them."""
    found = {name: _TRUNK.fullmatch(_own_name(name)) for name in tensors}
    for prefix in sorted({match["prefix"] for match in found.values() if match}):
        trunk = {m["name"]: tensors[name] for name, m in found.items() if m and m["prefix"] == prefix}
        heads = [name for name, m in found.items() if not m and name.startswith(prefix)]
        yield " / ".join([*place, *([f"{prefix}*"] if prefix else [])]) or "top level", trunk, heads


def _own_name(name):
    """A key of the other port by this module's names; any other key as it is."""
    for theirs, ours in _OTHER_PORT.items():
        name = name.replace(theirs, ours)
    return name
