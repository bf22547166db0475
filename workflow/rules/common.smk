# What the rule files share: resolved settings, the data set's table, the code each stage depends on.
import json
from functools import cache
from pathlib import Path

import pandas as pd

from fedn_pipeline import config as configuration

CONFIG = Path(workflow.basedir).parent / "config"
PACKAGE = Path(configuration.__file__).parent


@cache
def resolved(dataset, experiment=None):
    """All settings of a data set (and experiment); `snakemake --config` wins."""
    return configuration.resolve(CONFIG, dataset, experiment, config)


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
        found += sorted((PACKAGE / place).rglob("*.py")) if (PACKAGE / place).is_dir() else [PACKAGE / place]
    return [str(path) for path in found]


def videos(dataset):
    """videos.csv as a table, once the checkpoint `dataset` has made it."""
    return pd.read_csv(checkpoints.dataset.get(dataset=dataset).output.videos, dtype=str)


def groups(dataset, experiment):
    """The folds of an experiment: sorted values of its group column."""
    return sorted(videos(dataset)[resolved(dataset, experiment)["folds"]["group"]].unique())


def backbone(dataset, experiment, held_out):
    """Name of the fold's feature cache."""
    return resolved(dataset, experiment)["backbone"]["name"].format(held_out=held_out)


def label_set(dataset):
    return resolved(dataset)["dataset"]["labels"]


DEMOS = [path.stem for path in sorted((CONFIG / "datasets").glob("*.yaml")) if resolved(path.stem)["dataset"]["reader"] == "demo"]
