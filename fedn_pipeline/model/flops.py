"""FLOPs of one window as the paper counts them: 2 per MAC, convolutions and matrix products (model.md).

128 frames through the backbone (64 clips of 8 for I3D), and the literal form of segment attention whatever the code
does to be faster.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18

from fedn_pipeline.features import i3d
from fedn_pipeline.files import InputError
from fedn_pipeline.model import fedn, geometry
from fedn_pipeline.peers import needs


def _backbone(settings):
    """`(network, input)` of each backbone that a window needs, without classifiers."""
    windows, side = settings["windows"], settings["backbone"]["input_size"]
    if needs.AS_FEATURES.fullmatch(settings["backbone"]["name"]):
        return []  # optical flow is no network
    if settings["model"]["clip_features"]:
        clip = (windows["segment_frames"], side, side)
        return [(i3d.build(n), torch.empty(windows["segments"], n, *clip)) for n in i3d.CHANNELS.values()]
    network = resnet18()
    network.fc = torch.nn.Identity()  # the 512 values before the classifier
    return [(network, torch.empty(geometry.window_frames(windows), 3, side, side))]


def of_call(call):
    """FLOP of one call of a function without arguments."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def count(settings, classes=4):
    """Cost of one window: `total`, `backbone`, `rest` in GFLOP, `gmac` of the total, and `parameters` by part.

    Nothing is computed: tensors live on the meta device. Raises InputError for a method that is no FEDN.
    """
    if settings["folds"]["method"] != "fedn":
        raise InputError(f"folds.method: FLOPs are those of a FEDN, not of `{settings['folds']['method']}`")
    windows, model = settings["windows"], settings["model"]
    with torch.device("meta"), torch.no_grad():
        backbones = _backbone(settings)
        network, _ = fedn.build(settings, classes if model["recognition"] else 1)
        features = torch.empty(1, geometry.rows_read(windows, model), model["feature_width"])
        backbone = sum(of_call(lambda n=n, x=x: n.eval()(x)) for n, x in backbones) / 1e9
        rest = of_call(lambda: network(features, literal=True)) / 1e9
    parts = {"backbone": [n for n, _ in backbones], "rest": [network]}
    parameters = {part: sum(p.numel() for n in nets for p in n.parameters()) for part, nets in parts.items()}
    total = backbone + rest
    return {"total": total, "backbone": backbone, "rest": rest, "gmac": total / 2, "parameters": parameters}
