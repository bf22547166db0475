"""One fold of a peer (`folds.method` names it): the same split and files as a fold of the network.

A peer's module has `fit(task, inputs)`, which gives a Spotter: trained on `task.parts.train`, it says what it finds in
any video of the fold. Thresholds are chosen here, as for every method: on held-out training subjects.
"""

import numpy as np
import pandas as pd

from fedn_pipeline import __version__, compute, cost, tensor_file
from fedn_pipeline.detection import fold as detection_fold
from fedn_pipeline.detection.candidates import COLUMNS
from fedn_pipeline.features import cache
from fedn_pipeline.files import InputError, write_csv
from fedn_pipeline.peers import auwgcn, lgsnet, lssnet, mdmd, mtsn, spotformer, tan
from fedn_pipeline.peers.habits import OWN_SCORE
from fedn_pipeline.peers.task import Failed, Spotter, Task, detections
from fedn_pipeline.training.classes import check_positives
from fedn_pipeline.training.record import write_record
from fedn_pipeline.training.split import split

METHODS = {
    "auwgcn": auwgcn,
    "lgsnet": lgsnet,
    "lssnet": lssnet,
    "mdmd": mdmd,
    "mtsn": mtsn,
    "spotformer": spotformer,
    "tan": tan,
}
# Keys of other sections than its own that a peer may read: kept with its weights.
SHARED = {
    "training": ("threads", "precision", "held_out_fraction", "held_out_windows"),
    "folds": ("method", "group", "held_out"),
}


def _check(task):
    """Raise Failed if nobody shows an expression to learn from: videos left out may have had the only ones."""
    try:
        check_positives(task.events, task.parts, task.label, recognition=False)
    except InputError as error:
        raise Failed(str(error)) from error


def run(videos, events, others, inputs, held_out, folder, settings, seed):
    """Write `detections.csv`, `threshold.json`, `fold.json`, `cost.json`, `checkpoint.safetensors`, `training_log.csv`.

    `events` is the ground truth, `others` annotated events that are none; `inputs` are Inputs; `settings`: folds,
    training, detections, evaluation and the method's own section.
    """
    folds, method = settings["folds"], settings["folds"]["method"]
    device = compute.prepare(seed, settings["training"]["threads"])
    if not (inputs.features or inputs.motion):
        raise InputError(f"folds, {method}: give --features or --motion")
    left_out = cache.left_out(inputs.first, videos.video_id)
    parts = split(videos, folds["group"], held_out, settings["training"]["held_out_fraction"], left_out)
    label = f"{method} without {held_out}"
    generator = np.random.default_rng(seed)
    task = Task(videos, events, others, parts, settings, settings[method], generator, device, label)
    test, theirs = (videos[videos.video_id.isin(ids)] for ids in (parts.test, parts.held_out))
    failed = None
    try:
        _check(task)
        spotter = METHODS[method].fit(task, inputs)
        found = [
            cost.measured(
                folder / cost.NAME, lambda part: detections(spotter, part, settings["detections"]), test,
                spotter.parameters, inputs.caches, device, settings["training"]["threads"],
            ),
            detections(spotter, theirs, settings["detections"]),
        ]  # fmt: skip
    except Failed as error:
        failed = str(error).replace(f"{label}: ", "")  # so that folds which fail alike say the same
        cost.unknown(folder / cost.NAME)
        nothing = pd.DataFrame(columns=[*COLUMNS, OWN_SCORE])
        spotter, found = Spotter(None, None, {}, {}, [], f"failed: {failed}", 0), [nothing, nothing]
    detection_fold.finish(*found, theirs, events, folder, settings, {"habit": spotter.habit, "failed": failed})
    write_csv(folder / "training_log.csv", pd.DataFrame(spotter.log or [{"step": 0}]))
    kept = {section: {key: settings[section][key] for key in keys} for section, keys in SHARED.items()}
    kept[method] = task.own
    metadata = {"held_out": held_out, "seed": seed, "settings": kept, "version": __version__}
    tensor_file.save(folder / "checkpoint.safetensors", spotter.state, metadata)
    write_record(folder, parts, held_out, inputs.first, seed, folds, "peers/fold.py", spotter.words)
