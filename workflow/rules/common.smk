# Functions of all stages: resolved settings, the table of videos, the code that each stage depends on.
import json
from functools import cache
from pathlib import Path

import pandas as pd

from fedn_pipeline import config as configuration
from snakemake.exceptions import WorkflowError

CONFIG = Path(workflow.basedir).parent / "config"
PACKAGE = Path(configuration.__file__).parent
EXPERIMENTS = sorted(path.stem for path in (CONFIG / "experiments").glob("*.yaml"))
FOLD = "results/{dataset}/{labels}/{experiment}/seed{seed}/folds/{held_out}"


@cache
def resolved(dataset, experiment=None):
    """All settings of a data set (and experiment); `snakemake --config` wins."""
    every = configuration.resolve(CONFIG, dataset, experiment, config)
    if (
        experiment is not None
    ):  # one cache per backbone: an experiment may name another one, not change it
        shared = resolved(dataset)["backbone"]
        if {**every["backbone"], "name": ""} != {**shared, "name": ""}:
            raise WorkflowError(
                f"config/experiments/{experiment}.yaml: only `backbone.name` may differ by experiment"
            )
    return every


def settings(*sections):
    """A params function: JSON of the named sections only, so that other keys never trigger a re-run."""

    def of(wildcards):
        every = resolved(wildcards.dataset, wildcards.get("experiment"))
        return json.dumps({name: every[name] for name in sections}, sort_keys=True)

    return of


def code(*places):
    """The package's files a stage runs: editing one re-runs the stage (Snakemake does not look into a command)."""
    found = [PACKAGE / "files.py", PACKAGE / "intervals.py", PACKAGE / "compute.py"]
    for place in places:
        found += (
            sorted((PACKAGE / place).rglob("*.py"))
            if (PACKAGE / place).is_dir()
            else [PACKAGE / place]
        )
    return [str(path) for path in found]


def videos(dataset):
    """videos.csv as a table, once the checkpoint `dataset` has made it."""
    return pd.read_csv(
        checkpoints.dataset.get(dataset=dataset).output.videos, dtype=str
    )


def groups(dataset, experiment):
    """The folds of an experiment: sorted values of its group column."""
    return sorted(
        videos(dataset)[resolved(dataset, experiment)["folds"]["group"]].unique()
    )


def backbone(dataset, experiment, held_out):
    """Name of the fold's feature cache."""
    return resolved(dataset, experiment)["backbone"]["name"].format(held_out=held_out)


def label_set(dataset):
    return resolved(dataset)["dataset"]["labels"]


def demos():
    """Data sets that are rendered, as a wildcard constraint."""
    names = sorted(path.stem for path in (CONFIG / "datasets").glob("*.yaml"))
    return "|".join(
        name for name in names if resolved(name)["dataset"]["reader"] == "demo"
    )


def source(wildcards):
    """The video's file, relative to the data set's root."""
    table = videos(wildcards.dataset).set_index("video_id")
    return f"data/{wildcards.dataset}/{table.source[wildcards.video]}"


def part_videos(wildcards):
    """The videos of one batch; a batch loads the model once."""
    size = resolved(wildcards.dataset)["backbone"]["videos_per_job"]
    first = int(wildcards.part) * size
    return sorted(videos(wildcards.dataset).video_id)[first : first + size]


def parts(wildcards):
    size = resolved(wildcards.dataset)["backbone"]["videos_per_job"]
    count = -(-len(videos(wildcards.dataset)) // size)
    return [
        f"data/{wildcards.dataset}/features/{wildcards.backbone}/part{number}.h5"
        for number in range(count)
    ]


def excluded(wildcards):
    """`resnet18_demo_without_PHOTOGRAPH` is trained without the stills of that photograph."""
    _, without, photograph = wildcards.backbone.partition("_without_")
    return f"--exclude {photograph}" if without else ""


def by_method(network):
    """Experiments of the network, or the references, as a wildcard constraint."""
    names = [
        name
        for name in EXPERIMENTS
        if (configuration.method(CONFIG, name) == "fedn") == network
    ]
    return "|".join(names)


def fold_features(wildcards):
    name = backbone(wildcards.dataset, wildcards.experiment, wildcards.held_out)
    return f"data/{wildcards.dataset}/features/{name}.h5"


def every_fold(wildcards, experiments=None):
    """detections.csv of every experiment, seed and held-out group."""
    run = resolved(wildcards.dataset)["run"]
    return [
        f"results/{wildcards.dataset}/{label_set(wildcards.dataset)}/{experiment}/seed{seed}/folds/{held_out}/detections.csv"
        for experiment in experiments or run["experiments"]
        for seed in run["seeds"]
        for held_out in groups(wildcards.dataset, experiment)
    ]


def first_experiment(wildcards):
    return resolved(wildcards.dataset)["run"]["experiments"][0]
