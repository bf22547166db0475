"""The frozen ResNet18 that turns a 224x224 crop into 512 values (He et al. 2016; model.md, "Shapes").

Weights are a safetensors file with torchvision's key names, made by the `pretrain` rule or by the user.
"""

import json

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet18

from fedn_pipeline.files import InputError, whole

WIDTH = 512
# ImageNet's statistics, so that torchvision's weights are a valid starting point.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalise(images):
    """uint8 `[n, height, width, 3]` (NumPy) -> float32 `[n, 3, height, width]`, channels last in memory."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(255)
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return x.sub_(mean).div_(std).contiguous(memory_format=torch.channels_last)


def save(path, network, metadata):
    """Write a classifier's weights and its training's description (JSON text values), whole."""
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    with whole(path) as partial:
        save_file(tensors, partial, metadata={"fedn_pipeline": json.dumps(metadata, sort_keys=True)})


def load(path):
    """The frozen network without its classifier: `[n, 3, 224, 224]` -> `[n, 512]`, batch norms folded in.

    Raises InputError if the file is missing, is no safetensors file or lacks layers of a ResNet18.
    """
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such backbone weights; the `pretrain` rule makes the demo's") from error
    except Exception as error:  # safetensors raises its own type for a damaged header
        raise InputError(f"{path}: not a safetensors file: {error}") from error
    network = resnet18()
    network.fc = nn.Identity()
    wanted = network.state_dict()
    weights = {name: value for name, value in weights.items() if not name.startswith("fc.")}
    missing, extra = sorted(set(wanted) - set(weights)), sorted(set(weights) - set(wanted))
    shapes = [name for name in set(wanted) & set(weights) if wanted[name].shape != weights[name].shape]
    if missing or extra or shapes:
        raise InputError(
            f"{path}: not a ResNet18: missing {missing[:3]}, unknown {extra[:3]}, other shape {shapes[:3]}"
        )
    network.load_state_dict(weights)
    return fold_batch_norms(network.eval()).to(memory_format=torch.channels_last).requires_grad_(False)


def fold_batch_norms(network):
    """Fold each batch norm into the convolution before it: the same function, fewer passes over memory."""
    fuse = nn.utils.fusion.fuse_conv_bn_eval
    network.conv1, network.bn1 = fuse(network.conv1, network.bn1), nn.Identity()
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        for block in stage:
            block.conv1, block.bn1 = fuse(block.conv1, block.bn1), nn.Identity()
            block.conv2, block.bn2 = fuse(block.conv2, block.bn2), nn.Identity()
            if block.downsample is not None:
                block.downsample = fuse(block.downsample[0], block.downsample[1])
    return network
