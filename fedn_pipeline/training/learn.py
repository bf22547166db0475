"""What a fold and the final model share (stage `folds`): features and targets of a Split, one network trained on them.

Writes `checkpoint.safetensors` and `training_log.csv`; who is trained on is the caller's to say (fold.py, final.py).
"""

from dataclasses import dataclass

import pandas as pd
import torch

from fedn_pipeline import __version__, compute, tensor_file
from fedn_pipeline.files import InputError, write_csv
from fedn_pipeline.model.fedn import FEDN
from fedn_pipeline.model.geometry import row_stride
from fedn_pipeline.training import data, loop, resume
from fedn_pipeline.training.classes import check_positives, emotions_of_fold

SECTIONS = ("windows", "model", "training", "folds")  # all that a training reads, kept with its weights
EXPRESSION = ""  # the one class of a network that only spots: an objectness logit, no emotion in its detections
LEARNT_FROM = ("train", "held_out")  # roles of a Split whose labels are read


@dataclass
class Trained:
    """A trained network, the emotions of its logits, the Videos of each role that has some, the device they are on, how
    it was trained in words, and its resume.Saved, to be removed when all is written."""

    network: FEDN
    classes: list
    loaded: dict
    device: torch.device
    recipe: str
    saved: resume.Saved


def _load(features_path, parts, settings, device):
    """Features of a Split's videos, by role, which must be of the kind that the network reads."""
    roles = {role: ids for role in ("train", "held_out", "test") if (ids := getattr(parts, role))}
    loaded = data.load(features_path, roles, device)
    found = loaded["train"].row_stride, loaded["train"].features.shape[1]
    wanted = row_stride(settings["windows"], settings["model"]), settings["model"]["feature_width"]
    if found != wanted:
        raise InputError(
            f"{features_path}: rows of {found[1]} values every {found[0]} frame(s), but the network reads {wanted[1]} "
            f"values every {wanted[0]}; see model.feature_width, model.clip_features, windows.segment_stride"
        )
    return loaded


def train(tables, features_path, parts, held_out, label, folder, settings, seed):
    """Train on `parts.train` and write both files into `folder`: a Trained.

    `tables`: videos, events, and annotated events that are none (neither targets nor background); `held_out`: the group
    tested, None if there is none; `label` names the training in messages; `settings`: SECTIONS. Raises
    InputError if there is nothing to learn or the features are of another kind.
    """
    videos, events, others = tables
    device = compute.prepare(seed, settings["training"]["threads"])
    check_positives(events, parts, label, settings["model"]["recognition"])
    classes = emotions_of_fold(events, parts, label) if settings["model"]["recognition"] else [EXPRESSION]
    loaded = _load(features_path, parts, settings, device)
    truth = {
        role: data.events_on_feature_axis(events, others, videos, loaded[role].ids, classes)
        for role in LEARNT_FROM
        if role in loaded
    }
    used = {name: settings[name] for name in SECTIONS}
    decisive = resume.key(tables, features_path, device, held_out=held_out, seed=seed, settings=used)
    saved = resume.Saved(folder / resume.NAME, decisive, settings["training"]["save_every_s"])
    network, log = loop.train(
        loaded["train"], truth["train"], loaded.get("held_out"), truth.get("held_out"),
        classes, settings, seed, device, label, saved,
    )  # fmt: skip
    metadata = {"classes": classes, "held_out": held_out, "seed": seed, "settings": used, "version": __version__}
    tensor_file.save(folder / "checkpoint.safetensors", network.state_dict(), metadata)
    write_csv(folder / "training_log.csv", pd.DataFrame(log))
    training = settings["training"]
    precision = compute.choose_precision(training["precision"], device)
    recipe = f"{training['imbalance']} loss, {log[-1]['step']} steps of {training['batch_size']} windows, {precision}"
    return Trained(network, classes, loaded, device, recipe, saved)
