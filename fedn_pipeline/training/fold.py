"""Stage `folds`: train without one held-out group, predict it (Fang et al. 2025, leave-one-subject-out).

Writes `checkpoint.safetensors`, `training_log.csv`, `predictions.h5` and `fold.json`; a fold re-run alone gives the
same bytes on the CPU, because nothing but its seed, configuration and data enter it.
"""

import numpy as np
import pandas as pd

from fedn_pipeline import __version__, compute, tensor_file
from fedn_pipeline.features import cache
from fedn_pipeline.files import InputError, write_csv
from fedn_pipeline.model import outputs
from fedn_pipeline.model.geometry import row_stride
from fedn_pipeline.training import data, loop, predictions, resume, windows
from fedn_pipeline.training.classes import check_positives, emotions_of_fold
from fedn_pipeline.training.record import write_record
from fedn_pipeline.training.split import split

SECTIONS = ("windows", "model", "training", "folds")  # all that a fold reads, kept with its weights
EXPRESSION = ""  # the one class of a network that only spots: an objectness logit, no emotion in its detections


def _raw(network, loaded, videos, settings, device):
    """Raw predictions of loaded videos at all rates together, on the 30 fps axis, by id."""
    rows, raw = videos.set_index("video_id"), {}
    cut = windows.cut(loaded.n_steps, settings["windows"], settings["windows"]["test_stride"])
    predicted = loop.predict(network, loaded, settings, device)  # intervals in steps of each window's own rate
    for number, (video, (starts, spans, logits)) in enumerate(predicted.items()):
        rate = cut.rate[cut.video == number].astype(np.float32)
        fps, n_frames = float(rows.fps[video]), int(rows.n_frames[video])
        spans = spans * rate[:, None, None]
        raw[video] = predictions.RawPredictions(starts, spans, logits, loaded.valid[video], fps, n_frames)
    return raw


def _load(features_path, parts, settings, device):
    """Features of a Split's videos, by role, which must be of the kind that the network reads."""
    loaded = data.load(features_path, {role: getattr(parts, role) for role in ("train", "held_out", "test")}, device)
    found = loaded["train"].row_stride, loaded["train"].features.shape[1]
    wanted = row_stride(settings["windows"], settings["model"]), settings["model"]["feature_width"]
    if found != wanted:
        raise InputError(
            f"{features_path}: rows of {found[1]} values every {found[0]} frame(s), but the network reads {wanted[1]} "
            f"values every {wanted[0]}; see model.feature_width, model.clip_features, windows.segment_stride"
        )
    return loaded


def run(videos, events, others, features_path, held_out, folder, settings, seed):
    """Train and predict the fold that tests group `held_out`. `settings`: SECTIONS.

    `events` is the ground truth; `others` are annotated events that are none (micro-expressions in a run on macros):
    neither targets nor background.
    """
    device = compute.prepare(seed, settings["training"]["threads"])
    left_out = cache.left_out(features_path, videos.video_id)
    parts = split(videos, settings["folds"]["group"], held_out, settings["training"]["held_out_fraction"], left_out)
    label = f"without {held_out}"
    check_positives(events, parts, label, settings["model"]["recognition"])
    classes = emotions_of_fold(events, parts, label) if settings["model"]["recognition"] else [EXPRESSION]
    names = outputs.names(classes, settings["model"])
    loaded = _load(features_path, parts, settings, device)
    truth = {
        name: data.events_on_feature_axis(events, others, videos, loaded[name].ids, classes)
        for name in ("train", "held_out")
    }
    used = {name: settings[name] for name in SECTIONS}
    decisive = resume.key((videos, events, others), features_path, device, held_out=held_out, seed=seed, settings=used)
    saved = resume.Saved(folder / resume.NAME, decisive, settings["training"]["save_every_s"])
    network, log = loop.train(
        loaded["train"], truth["train"], loaded["held_out"], truth["held_out"],
        classes, settings, seed, device, label, saved,
    )  # fmt: skip
    raw = {role: _raw(network, loaded[role], videos, settings, device) for role in ("test", "held_out")}
    metadata = {"classes": classes, "held_out": held_out, "seed": seed, "settings": used, "version": __version__}
    tensor_file.save(folder / "checkpoint.safetensors", network.state_dict(), metadata)
    write_csv(folder / "training_log.csv", pd.DataFrame(log))
    predictions.write(folder / "predictions.h5", raw, names)
    training = settings["training"]
    precision = compute.choose_precision(training["precision"], device)
    recipe = f"{training['imbalance']} loss, {log[-1]['step']} steps of {training['batch_size']} windows, {precision}"
    write_record(folder, parts, held_out, features_path, seed, settings["folds"], "training/fold.py", recipe)
    saved.remove()
