"""The experiments of a run as the report shows them: their folds, settings, costs, training logs and warnings."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from fedn_pipeline.files import checked
from fedn_pipeline.report import provenance, running_costs
from fedn_pipeline.report.results import Experiment, read_experiment

POSITIVES = "training_positives_"  # columns of the training log: positives per level of the pyramid, by its stride


@dataclass(frozen=True)
class Inputs:
    """Where everything lies: the data set's name and tables, `faces` (alignment/, crops/), `folder` with
    EXPERIMENT/seedN/, `table` (stem of the results table), `config` (with experiments/), Snakemake's `benchmarks`;
    `not_run`: experiment -> why."""

    dataset: str
    videos: Path
    events: Path
    faces: Path
    folder: Path
    table: Path
    config: Path
    benchmarks: Path | None
    not_run: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """One experiment: its `file` and the keys in it, all its settings, its folds (None: not run), costs as the paper's
    ablation counts them, `running` ones (running_costs.py), training logs by network ("" for the one of FEDN)."""

    name: str
    file: Path
    layer: dict
    settings: dict
    experiment: Experiment | None
    costs: dict
    running: dict
    logs: dict


def read(inputs, videos, settings):
    """Every experiment of the run, in its order. Raises InputError for missing or doubled folds."""
    found, run = [], settings["run"]
    for name in tqdm(run["experiments"], desc="experiments", unit="row"):
        file, layer, its = provenance.experiment_settings(name, inputs.config, inputs.folder, settings)
        done = name not in inputs.not_run
        experiment = read_experiment(inputs.folder, name, run["seeds"], videos) if done else None
        backbone = experiment.records[0]["backbone"] if done else None
        folder = inputs.folder / name
        costs = provenance.costs(its, backbone, videos, folder, inputs.benchmarks)
        running = running_costs.of_method(its, folder, videos, inputs.benchmarks)
        logs = training_logs(folder, run["seeds"]) if done else {}
        found.append(Method(name, file, layer, its, experiment, costs, running, logs))
    return found


def training_logs(folder, seeds):
    """`{network or "": [training_log tables]}` of an experiment's folds; a cascade's log may hold several networks.

    A fold in which nothing was learnt, by a method without training or for a failure, has no log.
    """
    logs = {}
    for path in [path for seed in seeds for path in sorted(folder.glob(f"seed{seed}/folds/*/training_log.csv"))]:
        table = pd.read_csv(checked(path))
        if "loss" not in table:
            continue
        for network, part in table.groupby("network", sort=False) if "network" in table else [("", table)]:
            logs.setdefault(network, []).append(part)
    return logs


def warnings(method):
    """What a method's training logs warn of, in words: levels of the pyramid without a positive to learn from."""
    found = []
    for logs in method.logs.values():
        for column in sorted({name for log in logs for name in log if name.startswith(POSITIVES)}):
            silent = sum(column in log and bool((log[column] == 0).all()) for log in logs)
            if silent:
                level = f"level of stride {column.removeprefix(POSITIVES)} frames"
                found.append(f"{method.name}: the {level} got no positive in {silent} of {len(logs)} folds")
    return found
