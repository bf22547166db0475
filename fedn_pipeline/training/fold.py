"""Stage `folds`: train without one held-out group, predict it (Fang et al. 2025, leave-one-subject-out).

Writes `checkpoint.safetensors`, `training_log.csv`, `predictions.h5` and `fold.json`; a fold re-run alone gives the
same bytes on the CPU, because nothing but its seed, configuration and data enter it.
"""

import json

import pandas as pd
from safetensors.torch import save_file

from fedn_pipeline import __version__, compute
from fedn_pipeline.dataset.tables import emotions
from fedn_pipeline.files import InputError, whole, write_csv
from fedn_pipeline.training import data, loop, predictions
from fedn_pipeline.training.record import write_record
from fedn_pipeline.training.split import split

SECTIONS = ("windows", "model", "training", "folds")  # all that a fold reads, kept with its weights
EXPRESSION = ""  # the one class of a network that only spots: an objectness logit, no emotion in its detections


def _raw(network, loaded, videos, settings, device):
    """Raw predictions of loaded videos, by id."""
    rows = videos.set_index("video_id")
    return {
        video: predictions.RawPredictions(
            *outputs, loaded.valid[video], float(rows.fps[video]), int(rows.n_frames[video])
        )
        for video, outputs in loop.predict(network, loaded, settings, device).items()
    }


def _classes(events, parts, recognition):
    """The network's classes: the emotions of the fold's own training subjects, or the one of spotting alone."""
    if not recognition:
        return [EXPRESSION]
    theirs = events[events.video_id.isin(parts.train + parts.held_out)]
    unnamed = theirs[theirs.emotion == ""]
    if len(unnamed):
        raise InputError(
            f"events.csv: {len(unnamed)} of {len(theirs)} expressions name no emotion (the first: video "
            f"{unnamed.video_id.iloc[0]}, onset {unnamed.onset.iloc[0]}); name them, or only spot "
            "(model.recognition: false)"
        )
    return emotions(theirs)


def run(videos, events, others, features_path, held_out, folder, settings, seed):
    """Train and predict the fold that tests group `held_out`. `settings`: SECTIONS.

    `events` is the ground truth; `others` are annotated events that are none (micro-expressions in a run on macros):
    neither targets nor background.
    """
    device = compute.prepare(seed, settings["training"]["threads"])
    parts = split(videos, settings["folds"]["group"], held_out, settings["training"]["held_out_fraction"])
    classes = _classes(events, parts, settings["model"]["recognition"])
    loaded = {name: data.load(features_path, getattr(parts, name), device) for name in ("train", "held_out", "test")}
    truth = {
        name: data.events_on_feature_axis(events, others, videos, loaded[name].ids, classes)
        for name in ("train", "held_out")
    }
    network, log = loop.train(
        loaded["train"], truth["train"], loaded["held_out"], truth["held_out"],
        classes, settings, seed, device, label=f"without {held_out}",
    )  # fmt: skip
    roles = {role: _raw(network, loaded[role], videos, settings, device) for role in ("test", "held_out")}
    used = {name: settings[name] for name in SECTIONS}
    metadata = {"classes": classes, "held_out": held_out, "seed": seed, "settings": used, "version": __version__}
    with whole(folder / "checkpoint.safetensors") as partial:
        tensors = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
        save_file(tensors, partial, metadata={"fedn_pipeline": json.dumps(metadata, sort_keys=True)})
    write_csv(folder / "training_log.csv", pd.DataFrame(log))
    predictions.write(folder / "predictions.h5", roles, classes)
    training = settings["training"]
    precision = compute.choose_precision(training["precision"], device)
    recipe = f"{training['imbalance']} loss, {log[-1]['step']} steps of {training['batch_size']} windows, {precision}"
    write_record(folder, parts, held_out, features_path, seed, settings["folds"], recipe)
