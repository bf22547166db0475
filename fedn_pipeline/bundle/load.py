"""Reads a model bundle and refuses, with the reason, what is damaged, incomplete or does not fit together.

A bundle may come from a stranger: nothing in it is run, no path in it is followed, and its shapes are compared with
the weights before any memory is taken for them.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes

from fedn_pipeline import config, files
from fedn_pipeline.bundle import choice, layout
from fedn_pipeline.faces.landmarks import TASK_SHA256
from fedn_pipeline.features import backbone, blendshapes
from fedn_pipeline.files import InputError
from fedn_pipeline.model import fedn, outputs

FILES = {layout.RESNET18: {layout.DETECTOR, layout.BACKBONE}, layout.BLENDSHAPES: {layout.DETECTOR}}  # by backbone
# What building a network of odd settings raises.
NO_NETWORK = (InputError, ArithmeticError, ValueError, RuntimeError, TypeError, AssertionError, IndexError)


@dataclass(frozen=True)
class Bundle:
    """network: FEDN in eval mode on the CPU, without gradients; classes: emotions of its logits ([""]: it only spots);
    names: of the logits (outputs.names); settings: all sections, defaults filled in; threshold: confidence from which a
    detection is kept; description: bundle.json; weights: path of the ResNet18's weights, None for blendshapes."""

    network: fedn.FEDN
    classes: list
    names: list
    settings: dict
    threshold: float
    description: dict
    weights: Path | None

    @property
    def backbone(self):
        """`resnet18` or `blendshapes`: which network makes the features."""
        return self.description["backbone"]["network"]


def load(folder):
    """The Bundle in a folder. Raises InputError, in one line, if it is damaged, incomplete, newer than this package, or
    if its parts do not fit together."""
    folder = Path(folder)
    content = describe(folder)
    network = content["backbone"]["network"]
    _check_files(folder, content["files"], FILES[network])
    place = folder / layout.DESCRIPTION
    try:
        settings = config.validate(content["settings"], where=f"{place}: settings")
    except InputError as error:
        raise InputError("; ".join(str(error).splitlines())) from error
    if settings["faces"]["aligner"] != choice.ALIGNER:
        raise InputError(f"{place}: faces.aligner {settings['faces']['aligner']}: {choice.OTHER_ALIGNER}")
    _check_backbone(folder, content, settings)
    detector = _detector(folder / layout.DETECTOR, content, settings)
    return Bundle(
        detector, content["classes"], content["names"], settings, content["threshold"]["value"], content,
        folder / layout.BACKBONE if network == layout.RESNET18 else None,
    )  # fmt: skip


def describe(folder):
    """The content of `bundle.json`, checked by itself: what a bundle is, without loading it. InputError as `load`."""
    path = Path(folder) / layout.DESCRIPTION
    if not path.is_file():
        raise InputError(f"{folder}: no model bundle: it has no {layout.DESCRIPTION}")
    try:
        raw = path.read_text(encoding="utf-8")
        content = json.loads(raw)
        version = content["format"]
        if isinstance(version, int) and version > layout.FORMAT:
            raise InputError(f"{path}: format {version}, this fedn-pipeline knows up to {layout.FORMAT}: update it")
        intact = raw == layout.text(content) and content["checksum"] == layout.checksum(content)
    except (*config.NO_JSON, OSError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged, or no description of a bundle ({error!r})") from error
    if not intact:
        raise InputError(
            f"{path}: damaged or edited: it is not as it was written; copy the bundle again, or make it anew"
        )
    fault = layout.fault(content)
    if fault:
        raise InputError(f"{path}: {fault}")
    network = content["backbone"]["network"]
    if network not in FILES:
        raise InputError(f"{path}: unknown backbone `{network}`; known: {', '.join(FILES)}")
    return content


def _check_files(folder, listed, wanted):
    if {*listed} != wanted:
        raise InputError(
            f"{folder / layout.DESCRIPTION}: lists {sorted(listed)}, but such a bundle has {sorted(wanted)}"
        )
    for name, digest in sorted(listed.items()):
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: missing; the bundle is incomplete: copy the whole folder again")
        if files.sha256(path) != digest:
            raise InputError(f"{path}: damaged: its bytes are not those that {layout.DESCRIPTION} lists")


def _check_backbone(folder, content, settings):
    """The backbone's weights are the ones named, and give as many values as the detector reads."""
    place, said = folder / layout.DESCRIPTION, content["backbone"]
    if said["network"] == layout.BLENDSHAPES:
        if said["sha256"] != TASK_SHA256:
            raise InputError(
                f"{place}: learnt from another landmark model ({said['sha256'][:8]}) than the one that is built in "
                f"({TASK_SHA256[:8]})"
            )
        width = blendshapes.WIDTH
    else:
        if said["sha256"] != content["files"][layout.BACKBONE]:
            raise InputError(f"{folder / layout.BACKBONE}: not the weights whose features the detector learnt from")
        path, width = folder / layout.BACKBONE, backbone.WIDTH
        _check_finite(path, backbone.load(path).state_dict())
    if not settings["model"]["feature_width"] == said["width"] == width:
        raise InputError(
            f"{place}: model.feature_width {settings['model']['feature_width']}, but its backbone {said['network']} "
            f"gives {width} values (it says {said['width']})"
        )


def _check_finite(path, tensors):
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise InputError(f"{path}: weights that are not finite: {name}")


def _detector(path, content, settings):
    """The network, its weights compared with the settings' shapes and finite."""
    place, classes = path.with_name(layout.DESCRIPTION), content["classes"]
    objectness = [outputs.OBJECTNESS] * settings["model"]["confidence_branch"]
    if content["names"] != [*classes, *objectness]:
        raise InputError(f"{place}: names of the logits {content['names']} do not belong to classes {classes}")
    try:
        tensors = from_bytes(path.read_bytes())
    except SafetensorError as error:
        raise InputError(f"{path}: no safetensors file ({error})") from error
    if settings["model"]["head_layers"] > len(tensors):  # or building them would take for ever
        raise InputError(f"{place}: model.head_layers {settings['model']['head_layers']}: {path.name} has not so many")
    try:
        with torch.device("meta"):  # shapes without memory
            network, _ = fedn.build(settings, len(classes))
        found = tensors.get(f"anchor_free.0.recognition.{len(network.anchor_free[0].recognition) - 1}.bias")
    except NO_NETWORK as error:
        raise InputError(f"{place}: settings: no network can be built of them ({error})") from error
    if found is not None and len(found) != len(classes):
        raise InputError(f"{path}: its logits are {len(found)} wide, but {place.name} names {len(classes)} classes")
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    shapes = {name: value.shape for name, value in tensors.items() if value.dtype == torch.float32}
    odd = sorted(name for name in {*wanted, *tensors} if wanted.get(name) != shapes.get(name))
    if odd:
        raise InputError(f"{path}: not the weights of the network that {place.name} describes: {', '.join(odd[:3])}")
    _check_finite(path, tensors)
    network.load_state_dict(tensors, assign=True)
    return network.requires_grad_(False).eval()
