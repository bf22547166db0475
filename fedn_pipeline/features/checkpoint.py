"""The user's own ResNet18 weights, in any usual layout -> safetensors with torchvision's names (command `backbone`).

Stands beside `pretrain`: either gives the weights that `extract` uses. A pickled file is read with torch's restricted
unpickler, which builds tensors and plain containers and runs no code of the file's; options and scores that training
scripts save beside the tensors are passed over. A network is found by the names of its blocks, whatever wrappers and
prefixes stand before them.
"""

import functools
import re

import torch
from torchvision.models import resnet18

from fedn_pipeline import __version__, tensor_file
from fedn_pipeline.features import backbone
from fedn_pipeline.files import InputError, sha256

MAX_DEPTH = 6  # wrappers around a state dict; real files have one or two
N_NAMED = 5  # layers named in a message
# What a key of a residual block looks like behind its prefix: torchvision's names, and those of
# nn.Sequential(*resnet.children()), whose children are counted.
_BLOCK = {
    "torchvision": re.compile(r"(?P<prefix>(?:.*?\.)??)layer[1-9]\.\d+\.(?:conv|bn|downsample)"),
    "sequential": re.compile(r"(?P<prefix>(?:.*?\.)??)[4-7]\.\d+\.(?:conv|bn|downsample)"),
}
# Options and scores that training scripts save beside the tensors; none of them is built.
_VALUES = ("argparse.Namespace", "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
_CHILDREN = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
_TRUNK = re.compile(r"(?:conv1|bn1|layer\d+)\.")  # any other top-level name is a head
# Blocks per stage and convolutions per block of the networks that people mistake for one another.
_NETWORKS = {
    ((1, 1, 1, 1), 2): "ResNet10",
    ((2, 2, 2, 2), 2): "ResNet18",
    ((2, 2, 2, 2), 3): "ResNet26",
    ((3, 4, 6, 3), 2): "ResNet34",
    ((3, 4, 6, 3), 3): "ResNet50",
    ((3, 4, 23, 3), 3): "ResNet101",
    ((3, 8, 36, 3), 3): "ResNet152",
}


class _Value:
    """Stands where the file has one of _VALUES, and keeps nothing of it."""

    def __init__(self, *arguments):
        pass

    def __setstate__(self, state):
        pass


def convert(path, out):
    """Write the weights in `path` to `out` as safetensors; returns their description, which `out` carries too."""
    weights, description = read(path)
    tensor_file.save(out, weights, description)
    return description


def read(path):
    """`(weights, description)`: a ResNet18's tensors without the classifier, by torchvision's names, float32.

    Raises InputError as `find` does.
    """
    return find(path, _networks, _as_torchvision, "ResNet18")


def find(path, networks, fit, kind):
    """`(weights, description)` of the one network in a checkpoint file that fits; `kind` names it in messages.

    `networks(tensors, place)` yields `(where, trunk, heads)` for every candidate in a state dict, `fit(trunk)` gives
    `(weights, faults)`. Raises InputError if the file cannot be read without running its code, holds no such network,
    part of one, another, or several.
    """
    content, known = _content(path)
    fitting, misfits = {}, []
    for place, tensors in _state_dicts(content):
        for where, trunk, heads in networks(tensors, place):
            weights, faults = fit(trunk)
            if faults:
                misfits.append((len(trunk), f"{where}: {'; '.join(faults)}"))
            else:
                if not any(_equal(weights, other) for other, _ in fitting.values()):  # a copy saved beside it
                    fitting[where] = weights, heads
    if not fitting:
        raise InputError(f"{path}: {_explain(content, misfits, kind)}")
    if len(fitting) > 1:
        raise InputError(
            f"{path}: several {kind} networks: {', '.join(sorted(fitting))}; save the one to use as a file of its own"
        )
    ((where, (weights, heads)),) = fitting.items()
    return weights, {
        # weights that this project has trained keep what they are: renaming the file does not launder demo weights
        "origin": known.get("origin", f"checkpoint {path.name}"),
        "source_sha256": sha256(path),
        "found_in": where,
        "dropped": sorted(heads),
        "version": __version__,
    }


def _content(path):
    """`(content, description)` of a checkpoint file: containers and tensors, and this project's metadata if any."""
    if not path.is_file():
        raise InputError(f"{path}: no such file (backbone.checkpoint, i3d.rgb, i3d.flow)")
    with open(path, "rb") as file:
        head = file.read(9)
    if head[8:] == b"{":  # safetensors: the header's length in 8 bytes, then JSON
        return backbone.read(path)
    try:
        with torch.serialization.safe_globals([(_Value, name) for name in _VALUES]):
            return torch.load(path, map_location="cpu", weights_only=True), {}
    except Exception as error:  # damaged bytes take the unpickler to errors of every type
        raise InputError(f"{path}: {_unreadable(error)}") from error


def _unreadable(error):
    """Why torch's restricted unpickler gave up, and what the user can do about it."""
    reason = str(error)
    refused = re.search(r"(?:GLOBAL|global|class) [`']?([\w.]+)", reason)
    if "weights_only" not in reason and not refused:
        first_line = "".join(filter(str.isprintable, reason.partition("\n")[0]))
        return f"not a checkpoint that torch can read, or a damaged one ({type(error).__name__}: {first_line})"
    if "TorchScript" in reason:
        what = "it is a TorchScript archive, which is code"
        again = "c = torch.jit.load('OLD', map_location='cpu'); torch.save(c.state_dict(), 'NEW.pt')"
    else:
        what = f"it holds pickled objects ({refused[1]})" if refused else "it holds more than tensors"
        again = (
            "c = torch.load('OLD', map_location='cpu', weights_only=False); "
            "k = ('state_dict', 'model_state_dict', 'model', 'net'); "
            "c = next((c[n] for n in k if n in c), c) if isinstance(c, dict) else c; "
            "torch.save(c.state_dict() if hasattr(c, 'state_dict') else c, 'NEW.pt')"
        )
    return (
        f"refused, because reading it could run any code: {what}. If you trust the file, save its tensors alone, in "
        f'the environment it comes from: python -c "import torch; {again}"'
    )


def _equal(weights, other):
    return all(torch.equal(value, other[name]) for name, value in weights.items())


def _state_dicts(content, place=(), seen=None):
    """Yield `(place, {name: tensor})` for every dictionary in the file that holds tensors under text keys, once."""
    seen = set() if seen is None else seen
    if not isinstance(content, dict) or len(place) > MAX_DEPTH or id(content) in seen:
        return
    seen.add(id(content))  # a file's dictionaries can hold one another, in circles
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and torch.is_tensor(value)}
    if tensors:
        yield place, tensors
    for key, value in content.items():
        yield from _state_dicts(value, (*place, str(key)), seen)


def _networks(tensors, place):
    """Yield `(where, trunk, heads)` for every prefix under which residual blocks stand.

    `trunk`: tensors by torchvision's name; `heads`: names of the tensors that are not of the trunk.
    """
    for layout, block in _BLOCK.items():
        prefixes = {found["prefix"] for found in map(block.match, tensors) if found}
        for prefix in sorted(prefixes):
            renamed = {}
            for name in tensors:
                if name.startswith(prefix):
                    first, _, rest = name.removeprefix(prefix).partition(".")
                    renamed[name] = f"{_CHILDREN.get(first, 'head') if layout == 'sequential' else first}.{rest}"
            trunk = {new: tensors[old] for old, new in renamed.items() if _TRUNK.match(new)}
            heads = [name for name in tensors if not _TRUNK.match(renamed.get(name, ""))]
            where = " / ".join([*place, *([f"{prefix}*"] if prefix else [])])
            yield where or "top level", trunk, heads


@functools.cache
def _resnet18():
    """The tensors of torchvision's ResNet18 by name, without its classifier."""
    return {name: value for name, value in resnet18().state_dict().items() if not name.startswith("fc.")}


def _as_torchvision(trunk):
    """`(weights, faults)`: all tensors of a ResNet18 without its classifier, float32, or why they are not that."""
    kind = _kind(trunk)
    if kind not in ("ResNet18", None):
        return {}, [f"looks like a {kind}, not a ResNet18"]
    return match(trunk, _resnet18(), "ResNet18")


def match(trunk, wanted, kind):
    """`(weights, faults)`: the tensors `wanted` (by name, for shape and type) out of `trunk`, or why it lacks them."""
    counters = {name: torch.tensor(0) for name in wanted if name.endswith("num_batches_tracked")}
    found = counters | trunk  # files written before torch 0.4.1 lack the counters, and nothing reads them here
    faults = []
    missing = [name for name in wanted if name not in found]
    unknown = sorted(set(found) - set(wanted))
    shapes = [name for name in wanted if name in found and found[name].shape != wanted[name].shape]
    both = [name for name in wanted if name in found and name not in (*shapes, *counters)]
    sparse = [name for name in both if found[name].layout != torch.strided or found[name].device.type != "cpu"]
    inexact = [name for name in both if not found[name].is_floating_point()]
    broken = [name for name in both if name not in (*sparse, *inexact) and not torch.isfinite(found[name]).all()]
    if missing:
        faults.append(
            f"{len(missing)} of a {kind}'s {len(wanted) - len(counters)} tensors are missing: {_listed(missing)}"
        )
    if unknown:
        faults.append(f"{len(unknown)} tensors that a {kind} does not have: {_listed(unknown)}")
    if shapes:
        texts = [f"{name} is {list(found[name].shape)}, not {list(wanted[name].shape)}" for name in shapes]
        faults.append(f"{len(shapes)} tensors have another network's shape: {_listed(texts)}")
    if sparse:
        faults.append(f"not plain tensors with values (sparse? on the device meta?): {_listed(sparse)}")
    if inexact:
        faults.append(f"not floating point (quantised?): {_listed(inexact)}")
    if broken:
        faults.append(f"values that are not finite: {_listed(broken)}")
    if faults:
        return {}, faults
    # copies: safetensors refuses tensors that share memory
    return {name: found[name].detach().to(value.dtype, copy=True) for name, value in wanted.items()}, []


def _kind(trunk):
    """Name of the network by its blocks, or None where they are none of the known ones."""
    blocks = {
        (int(found[1]), int(found[2])) for found in (re.match(r"layer(\d)\.(\d+)\.", name) for name in trunk) if found
    }
    counts = tuple(sum(stage == number for stage, _ in blocks) for number in (1, 2, 3, 4))
    deep = 3 if any(re.match(r"layer\d\.\d+\.conv3\.", name) for name in trunk) else 2
    return _NETWORKS.get((counts, deep))


def _explain(content, misfits, kind):
    """Why no network fits: the one with the most tensors speaks for the file."""
    if misfits:
        return f"not a {kind}: {max(misfits)[1]}"
    names = [name for _, tensors in _state_dicts(content) for name in tensors]
    if not names:
        return "holds no tensors under names: not a state dict"
    return f"no {kind} in it: none of its {len(names)} tensors is named like one of its layers: {_listed(names)}"


def _listed(names):
    """The first few, and how many more there are; names are a stranger's, so only what can be printed of them."""
    more = f", and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    return ", ".join("".join(filter(str.isprintable, name)) for name in names[:N_NAMED]) + more
