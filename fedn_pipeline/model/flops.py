"""FLOPs of one window as the paper counts them: 2 per MAC, convolutions and matrix products (model.md).

128 frames through the backbone (64 clips of 8 for I3D), and the literal form of segment attention whatever the code
does to be faster.
"""

import math

import torch
from torchvision.models import resnet18

from fedn_pipeline import intervals
from fedn_pipeline.cost import flop
from fedn_pipeline.features import i3d
from fedn_pipeline.files import InputError
from fedn_pipeline.model import fedn, geometry
from fedn_pipeline.peers import needs

OF_INPUT = ("windows", "backbone")  # sections that `of_input` reads


def _backbone(settings, clips, n):
    """`(network, input)` of each backbone, without classifiers: of `n` clips of I3D, or frames of ResNet18."""
    side = settings["backbone"]["input_size"]
    if clips:
        clip = (settings["windows"]["segment_frames"], side, side)
        return [(i3d.build(channels), torch.empty(n, channels, *clip)) for channels in i3d.CHANNELS.values()]
    network = resnet18()
    network.fc = torch.nn.Identity()  # the 512 values before the classifier
    return [(network, torch.empty(n, 3, side, side))]


def of_input(name, settings):
    """`gflop_per_minute` of video, and `parameters`, of the network that makes a cache (`cost.cache_name`).

    Optical flow and the regions' are made by none: 0. Of MediaPipe's (blendshapes) both are NaN: not known.
    """
    folder, backbone = name.split("/")
    if folder != "features":
        return {"gflop_per_minute": 0.0, "parameters": 0}
    if backbone == "blendshapes":
        return {"gflop_per_minute": math.nan, "parameters": math.nan}
    clips = backbone == i3d.NAME
    per_minute = 60 * intervals.FEATURE_FPS / (settings["windows"]["segment_stride"] if clips else 1)
    with torch.device("meta"), torch.no_grad():
        networks = _backbone(settings, clips, 1)
        gflop = sum(flop(lambda n=n, x=x: n.eval()(x)) for n, x in networks) / 1e9
    return {
        "gflop_per_minute": gflop * per_minute,
        "parameters": sum(p.numel() for network, _ in networks for p in network.parameters()),
    }


def count(settings, classes=4):
    """Cost of one window: `total`, `backbone`, `rest` in GFLOP, `gmac` of the total, and `parameters` by part.

    Nothing is computed: tensors live on the meta device. Raises InputError for a method that is no FEDN.
    """
    if settings["folds"]["method"] != "fedn":
        raise InputError(f"folds.method: FLOPs are those of a FEDN, not of `{settings['folds']['method']}`")
    windows, model = settings["windows"], settings["model"]
    with torch.device("meta"), torch.no_grad():
        clips = model["clip_features"]
        n = windows["segments"] if clips else geometry.window_frames(windows)
        motion = needs.AS_FEATURES.fullmatch(settings["backbone"]["name"])  # optical flow is no network
        backbones = [] if motion else _backbone(settings, clips, n)
        network, _ = fedn.build(settings, classes if model["recognition"] else 1)
        features = torch.empty(1, geometry.rows_read(windows, model), model["feature_width"])
        backbone = sum(flop(lambda n=n, x=x: n.eval()(x)) for n, x in backbones) / 1e9
        rest = flop(lambda: network(features, literal=True)) / 1e9
    parts = {"backbone": [n for n, _ in backbones], "rest": [network]}
    parameters = {part: sum(p.numel() for n in nets for p in n.parameters()) for part, nets in parts.items()}
    total = backbone + rest
    return {"total": total, "backbone": backbone, "rest": rest, "gmac": total / 2, "parameters": parameters}
