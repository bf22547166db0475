"""Results of a data set as the workflow leaves them, of tiny networks on made-up features: what a bundle is made of."""

import h5py
import numpy as np
import torch
from torchvision.models import resnet18
from training.test_fold import planted

from fedn_pipeline import config, files, tensor_file
from fedn_pipeline.dataset import tables
from fedn_pipeline.evaluation.metrics import COUNTS, METRICS
from fedn_pipeline.faces.landmarks import TASK_SHA256
from fedn_pipeline.features import blendshapes, cache
from fedn_pipeline.report import table
from fedn_pipeline.training import final

THRESHOLDS = {"p0": 0.2, "p1": 0.5, "p2": 0.30012}
WIDTH = blendshapes.WIDTH
SMALL = {"embedding": 32, "channels": 32, "head_width": 16}


def settings(backbone="blendshapes", **sections):
    """All settings of a small network; other sections win."""
    width = WIDTH if backbone == "blendshapes" else 512
    given = {
        "backbone": {"name": backbone, "input_size": 64},
        "model": {**SMALL, "feature_width": width},
        "training": {"steps": 3, "batch_size": 4, "log_every": 2},
        "windows": {"train_stride": 32},
        "run": {"experiments": ["fedn", "chance"]},
    }
    return config.validate(config.merge(given, sections))


def features(folder, backbone="blendshapes", weights_sha256=TASK_SHA256):
    """`(videos, events, cache)` of planted signals, as a cache of that backbone."""
    folder.mkdir(parents=True, exist_ok=True)
    videos, events, path = planted(folder, subjects=3)
    out = folder / f"{backbone}.h5"
    width = WIDTH if backbone == "blendshapes" else 512
    with h5py.File(path) as source, files.whole(out) as partial, h5py.File(partial, "w") as file:
        for name, group in source.items():
            attributes = {
                "frame_stride": 1, "weights_sha256": weights_sha256, "weights_origin": "demo stills",
                "backend": "torch", "precision": "fp32", "version": "0", "input_size": 48, "mean": [0.5, 0.5, 0.5],
            }  # fmt: skip
            entry = cache.Features(group["features"][:, :width], group["valid"][:], attributes)
            cache.write_group(file, name, entry)
        cache.finish(file, out)
    return videos, events, out


def row(method="fedn"):
    """A row of the table with numbers."""
    metrics = {name: (0.5, 0.25, None) for name in METRICS} | {name: 7 for name in COUNTS}
    words = {"weights": "resnet18_demo (12345678), demo weights", "protocol": "threshold: held_out", "seeds": "0"}
    words |= {"dataset": "mine", "labels": "annotated", "source": "ours", "expression_types": "macro"}
    return {**words, "method": method, "metrics": metrics}


def results(folder, backbone="blendshapes", every=None):
    """`folder/results/mine` and `folder/data/mine` with a final model, folds, the table and weights; the former."""
    every, data, weights_sha256 = every or settings(backbone), folder / "data/mine", TASK_SHA256
    if backbone != "blendshapes":
        path = data / f"backbones/{backbone}.safetensors"
        torch.manual_seed(0)
        tensor_file.save(path, resnet18().state_dict(), {"origin": "demo stills", "initial": "random"})
        weights_sha256 = files.sha256(path)
    videos, events, cached = features(data / "features", backbone, weights_sha256)
    run = folder / "results/mine/annotated/fedn/seed0"
    tables.write_videos(data / "videos.csv", videos)
    final.run(videos, events, events[:0], cached, run / "final", every, 0)
    for name, threshold in THRESHOLDS.items():
        files.write_json(run / f"folds/{name}/threshold.json", {"threshold": threshold, "chosen_on": ["v0"]})
        files.write_json(run / f"folds/{name}/fold.json", {"weights_sha256": weights_sha256, "test_videos": ["v0"]})
    left_out = {"left_out": "v2: cannot be decoded", "omitted_videos": "v1"}
    table.write(table.results_table([row() | left_out]), folder / "results/mine_table")
    return folder / "results/mine"


def same(one, other):
    """Whether two state_dicts are equal."""
    return all(torch.equal(one[name], other[name]) for name in one | other)


def windows(network_settings, n=2):
    """Random windows of features."""
    model = network_settings["model"]
    return torch.from_numpy(np.random.default_rng(1).normal(size=(n, 134, model["feature_width"]))).float()
