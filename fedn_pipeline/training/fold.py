"""Stage `folds`: train without one held-out group, predict it (Fang et al. 2025, leave-one-subject-out).

Writes `checkpoint.safetensors`, `training_log.csv`, `predictions.h5`, `cost.json` and `fold.json`; a fold re-run alone
gives the same bytes on the CPU, because nothing but its seed, configuration and data enter it; but for `cost.json`, a
measurement.
"""

import numpy as np

from fedn_pipeline import cost
from fedn_pipeline.features import cache
from fedn_pipeline.model import outputs
from fedn_pipeline.training import learn, loop, predictions, windows
from fedn_pipeline.training.record import write_record
from fedn_pipeline.training.split import split


def raw_predictions(network, loaded, videos, settings, device):
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


def run(videos, events, others, features_path, held_out, folder, settings, seed):
    """Train and predict the fold that tests group `held_out`. `settings`: learn.SECTIONS.

    `events` is the ground truth; `others` are annotated events that are none (micro-expressions in a run on macros):
    neither targets nor background.
    """
    left_out = cache.left_out(features_path, videos.video_id)
    parts = split(videos, settings["folds"]["group"], held_out, settings["training"]["held_out_fraction"], left_out)
    label = f"without {held_out}"
    trained = learn.train((videos, events, others), features_path, parts, held_out, label, folder, settings, seed)
    network, loaded = trained.network, trained.loaded

    def predict(part, role="test"):
        return raw_predictions(network, loaded[role].of(part.video_id), part, settings, trained.device)

    test, theirs = (videos[videos.video_id.isin(ids)] for ids in (parts.test, parts.held_out))
    n_parameters = sum(value.numel() for value in network.parameters())
    measured = cost.measured(
        folder / cost.NAME, predict, test, n_parameters, [features_path], trained.device,
        settings["training"]["threads"],
    )  # fmt: skip
    raw = {"test": measured, "held_out": predict(theirs, "held_out")}
    predictions.write(folder / "predictions.h5", raw, outputs.names(trained.classes, settings["model"]))
    write_record(folder, parts, held_out, features_path, seed, settings["folds"], "training/fold.py", trained.recipe)
    trained.saved.remove()
