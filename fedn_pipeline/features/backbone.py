"""The frozen ResNet18 that turns a 224x224 crop into 512 values (He et al. 2016; model.md, "Shapes").

Weights are a safetensors file with torchvision's key names, made by the `pretrain` rule or, from the user's own file,
by `checkpoint`. Its metadata say where the weights come from.
"""

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torchvision.models import resnet18

from fedn_pipeline import tensor_file
from fedn_pipeline.files import InputError, checked

WIDTH = 512
UNKNOWN_ORIGIN = "unknown"  # weights or caches made before the origin was recorded


def normalise(images, mean, std):
    """uint8 `[n, height, width, 3]` (NumPy) -> float32 `[n, 3, height, width]`, channels last in memory.

    `mean`, `std`: three numbers each, of RGB in [0, 1] (section `backbone`).
    """
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(255)
    mean, std = torch.tensor(mean).view(1, 3, 1, 1), torch.tensor(std).view(1, 3, 1, 1)
    return x.sub_(mean).div_(std).contiguous(memory_format=torch.channels_last)


def read(path):
    """`(tensors by name, description)` of a safetensors file; the description is empty in strangers' files.

    Raises InputError if the file is missing or no safetensors file.
    """
    with _open(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, _description(path, file)  # noqa: SIM118


def origin(path):
    """What the weights in `path` have learnt from: `demo stills`, `AffectNet`, `checkpoint FILENAME` or `unknown`."""
    with _open(path) as file:
        description = _description(path, file)
    return str(description.get("origin", UNKNOWN_ORIGIN)) if description else f"checkpoint {path.name}"


def network(path):
    """Which network the weights in `path` are of: `resnet18`, or what their description says (`i3d`)."""
    with _open(path) as file:
        return str(_description(path, file).get("network", "resnet18"))


def _open(path):
    try:
        return safe_open(checked(path), framework="pt")
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such backbone weights; the `pretrain` rule makes the demo's, "
            "`fedn-pipeline backbone --checkpoint` converts your own"
        ) from error
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: not a safetensors file: {error}; `fedn-pipeline backbone --checkpoint` converts other weights"
        ) from error


def _description(path, file):
    try:
        return tensor_file.description(file)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: its metadata `{tensor_file.METADATA_KEY}` are not this project's: {error}"
        ) from error


def load(path):
    """The frozen network without its classifier: `[n, 3, 224, 224]` -> `[n, 512]`, batch norms folded in.

    Raises InputError if the file is missing, is no safetensors file or lacks layers of a ResNet18.
    """
    weights, _ = read(path)
    network = resnet18()
    network.fc = nn.Identity()
    wanted = network.state_dict()
    weights = {name: value for name, value in weights.items() if not name.startswith("fc.")}
    missing, extra = sorted(set(wanted) - set(weights)), sorted(set(weights) - set(wanted))
    shapes = [name for name in set(wanted) & set(weights) if wanted[name].shape != weights[name].shape]
    if missing or extra or shapes:
        raise InputError(
            f"{path}: not a ResNet18: missing {missing[:3]}, unknown {extra[:3]}, other shape {shapes[:3]}; "
            "`fedn-pipeline backbone --checkpoint` reads other layouts"
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
