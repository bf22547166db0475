"""FLOPs of one window as the paper counts them: 2 per MAC, convolutions and matrix products (model.md).

128 frames through the backbone, and the literal form of segment attention whatever the code does to be faster.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18

from fedn_pipeline.model import fedn, geometry


def count(settings, classes=4):
    """GFLOP per window: `{"total", "backbone", "rest"}`. Nothing is computed: tensors live on the meta device."""

    def gflop(run):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            run()
        return counter.get_total_flops() / 1e9

    windows, side = settings["windows"], settings["backbone"]["input_size"]
    with torch.device("meta"):
        backbone = resnet18().eval()
        backbone.fc = torch.nn.Identity()  # the 512 values before the classifier
        network, _ = fedn.build(settings, classes)
        frames = torch.empty(geometry.window_frames(windows), 3, side, side)
        features = torch.empty(1, geometry.frames_read(windows), settings["model"]["feature_width"])
        parts = {
            "backbone": gflop(lambda: backbone(frames)),
            "rest": gflop(lambda: network(features, literal=True)),
        }
    return {"total": sum(parts.values()), **parts}
