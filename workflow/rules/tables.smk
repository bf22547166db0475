# Functions of stage results: which folds, rows and settings a table or a page has, and which videos it lacks.
from fedn_pipeline.faces import summary

REQUESTED = set()  # data sets whose tables this run makes


def left_out():
    """A line per video that the tables of this run could not take in, and why."""
    places = [(f"data/{dataset}", video) for dataset in sorted(REQUESTED) for video in sorted(rows(dataset))]
    return [f"{folder}: {video}: {why}" for folder, video in places for why in summary.left_out(folder, video).values()]


def not_run_arguments(wildcards, experiments=None):
    """`--not-run` for each row that has no folds."""
    found = not_run(wildcards.dataset, experiments or resolved(wildcards.dataset)["run"]["experiments"])
    return [word for pair in found.items() for word in ("--not-run", *pair)]


def every_fold(wildcards, experiments=None):
    """detections.csv of every ground truth, experiment, seed and held-out group."""
    REQUESTED.add(wildcards.dataset)
    dataset, run = wildcards.dataset, resolved(wildcards.dataset)["run"]
    experiments = experiments or run["experiments"]
    without = not_run(dataset, experiments)
    return [
        f"results/{dataset}/{label_set(dataset)}{ending}/{experiment}/seed{seed}/folds/{held_out}/detections.csv"
        for ending in expression_types.axis(resolved(dataset))
        for experiment in experiments
        if experiment + ending not in without
        for seed in run["seeds"]
        for held_out in groups(dataset, experiment)
    ]


def fold_folders(wildcards, experiments=None):
    """The folders in which folds lie, as far as they exist.

    Snakemake does not rebuild a deleted file whose consumer is up to date; but deleting one makes its folder newer than
    the table, so with the folders as inputs the table, and what it lacks, is made again.
    """
    folds = [Path(path).parent for path in every_fold(wildcards, experiments)]
    return sorted({str(folder) for fold in folds for folder in (fold, fold.parent) if folder.is_dir()})


def page_experiments(wildcards):
    """The rows of a page: the summary has the table's; the report the paper's whole comparison, then further ones."""
    every = resolved(wildcards.dataset)
    rows = every["run"]["experiments"]
    return rows if wildcards.get("page") == "summary" else list(dict.fromkeys([*every["report"]["experiments"], *rows]))


def page_table(wildcards):
    """The table that a page explains."""
    name = wildcards.dataset
    return f"results/{name}_table.csv" if wildcards.page == "summary" else f"results/{name}/report/table.csv"


def _with_rows_of(wildcards):
    every = resolved(wildcards.dataset)
    return {**every, "run": {**every["run"], "experiments": page_experiments(wildcards)}}


def page_settings(wildcards):
    """All settings of a data set, with the rows of the page; where its files lie on this machine is no part of it."""
    every = _with_rows_of(wildcards)
    return json.dumps({**every, "dataset": {**every["dataset"], "root": None}}, sort_keys=True)


def comparison_settings(wildcards):
    every = _with_rows_of(wildcards)
    chosen = {"run": every["run"], "evaluation": every["evaluation"], "dataset": {}}
    for place in TRUTH:
        chosen["dataset"][place.split(".")[1]] = every["dataset"][place.split(".")[1]]
    return json.dumps(chosen, sort_keys=True)
