"""Stage `results`: every fold of every experiment -> one table row each, and the paired differences to FEDN.

With `run.by_type` a row for each ground truth: macro, micro, both; differences are of rows with the same one.
Reads `EXPERIMENT/seedN/folds/NAME/{detections.csv, threshold.json, fold.json}`; refuses folds that do not cover the
data set's videos exactly once, so that a stale or missing fold can never hide in an average.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
import pandas as pd

from fedn_pipeline.dataset import expression_types
from fedn_pipeline.dataset.tables import ground_truth, read_detections
from fedn_pipeline.evaluation.bootstrap import difference, draw_scores, summary
from fedn_pipeline.files import InputError, read_json, write_csv
from fedn_pipeline.peers import habits
from fedn_pipeline.report import table


def read_run(folder, videos):
    """One experiment with one seed: `(detection tables, fold records)`; several tables if a column `draw` splits them.

    Raises InputError if the folds in `folder/folds` miss a video (a plain split may) or test one twice.
    """
    records, tables = [], []
    for path in sorted(folder.glob("folds/*/fold.json")):
        records.append({**read_json(path), **read_json(path.parent / "threshold.json")})
        tables.append(read_detections(path.parent / "detections.csv", videos))
    tested = Counter(video for record in records for video in record["test_videos"])
    allowed = {0, 1} if records and all(record.get("plain_split") for record in records) else {1}
    wrong = sorted(video for video in set(tested) | set(videos.video_id) if tested[video] not in allowed)
    if wrong:
        raise InputError(f"{folder}: videos tested not exactly once: {wrong[:5]}; delete stale folds and run again")
    whole = pd.concat(tables, ignore_index=True)
    if "draw" in whole:  # a draw may be empty
        return [whole[whole.draw == draw].drop(columns="draw") for draw in range(records[0]["draws"])], records
    return [whole], records


def of_videos(ids, *tables):
    """The rows of each table that belong to the videos `ids`."""
    return [table[table.video_id.isin(ids)].reset_index(drop=True) for table in tables]


def protocol(record):
    """How a fold's threshold was chosen and, for a network, how it was trained."""
    return ", ".join(filter(None, [f"threshold: {record['protocol']}", record["training"]]))


def protocols(records):
    """`protocol` of all folds, each wording once; of those that failed why, and which they are."""
    failed = {}
    for record in records:
        if record.get("failed"):
            failed.setdefault(record["failed"], []).append(record["held_out"])
    found = sorted({protocol(record) for record in records if not record.get("failed")})
    for why, names in sorted(failed.items()):
        which = f": {' '.join(sorted(set(names)))}" if len(names) < len(records) else ""
        found.append(f"failed: {why} ({len(names)} of {len(records)} folds{which})")
    return "; ".join(found)


def weights_text(record):
    """Which weights a fold used and what they have learnt from; `record` is its fold.json."""
    origin = record.get("weights_origin", "unknown")
    words = {"demo stills": table.DEMO_WEIGHTS, "unknown": "origin unknown"}.get(origin, origin)
    return f"{record['backbone']} ({record['weights_sha256'][:8]}), {words}"


@dataclass(frozen=True)
class Experiment:
    """One row's folds: a detection table per seed or chance draw, fold records, the videos that they tested."""

    name: str
    tables: list
    records: list

    @property
    def tested(self):
        return {video for record in self.records for video in record["test_videos"]}


def read_experiment(folder, name, seeds, videos):
    """All seeds of the experiment `folder/NAME`; see `read_run`."""
    runs = [read_run(folder / name / f"seed{seed}", videos) for seed in seeds]
    return Experiment(name, *(list(chain.from_iterable(part)) for part in zip(*runs, strict=True)))


def reference(names):
    """The experiment that all others are compared with: FEDN, or else the first."""
    return "fedn" if "fedn" in names else names[0]


def _own(experiment, events, iou):
    """A peer's F1 by its own published protocol, a mean over its runs, and that protocol in words; {} for others.

    A fold that failed has no protocol, and nothing is found in it.
    """
    habit = next((record["habit"] for record in experiment.records if record.get("habit")), None)
    if not habit:
        return {}
    of_runs = [habits.f1(run, events, habits.Habit(**habit), iou)[0] for run in experiment.tables]
    return {"own_spotting_f1": np.mean(of_runs) if None not in of_runs else None, "own_protocol": habit["words"]}


def _row(experiment, metrics, videos):
    """Metrics, weights, protocol, videos left out (with the reason) and omitted videos of one experiment."""
    omitted = sorted(set(videos.video_id) - experiment.tested)
    left_out = {video: why for record in experiment.records for video, why in record.get("left_out", {}).items()}
    return {
        "left_out": "; ".join(f"{video}: {why}" for video, why in sorted(left_out.items())),
        "metrics": metrics,
        "weights": "; ".join(sorted({weights_text(record) for record in experiment.records})),
        "protocol": protocols(experiment.records),
        "omitted_videos": " ".join(omitted),
    }


def _rows(folder, names, not_run, videos, events, settings):
    """`(rows, differences)` of the experiments `names` with one ground truth, `events`; the folds lie in `folder`.

    Without folds are those in `not_run`, {experiment: why}. Each is a dictionary, without what names the ground truth.
    """
    seeds, evaluation = settings["run"]["seeds"], settings["evaluation"]
    done = {name: read_experiment(folder, name, seeds, videos) for name in names if name not in not_run}
    tested = {name: frozenset(experiment.tested) for name, experiment in done.items()}

    @cache
    def scores(name, ids):
        """Scores of an experiment on the videos `ids`, over the draws: once, for its row and for every difference."""
        runs = done[name].tables if ids == tested[name] else of_videos(ids, *done[name].tables)
        return draw_scores(*of_videos(ids, videos, events), runs, evaluation)

    def with_intervals(scores, ids):
        return summary(of_videos(ids, videos)[0], scores, evaluation)

    rows, differences = [], []
    for name in names:
        if name in not_run:
            rows.append({"method": name, "weights": not_run[name]})
            continue
        row = _row(done[name], with_intervals(scores(name, tested[name]), tested[name]), videos)
        own = _own(done[name], of_videos(tested[name], events)[0], evaluation["iou"])
        rows.append({"method": name, "seeds": " ".join(map(str, seeds)), **row, **own})
    first = reference(list(done)) if done else None
    for other in [name for name in done if name != first]:
        both = tested[first] & tested[other]  # all videos, unless one of them is a plain split
        paired = with_intervals(difference(scores(first, both), scores(other, both)), both)
        differences += [
            {"method": first, "minus": other, "metric": metric, **value._asdict()} for metric, value in paired.items()
        ]
    return rows, differences


def run(dataset, videos, events, folder, stem, settings, not_run=None):
    """Write `stem.csv`, `.md`, `.tex` and `stem_differences.csv`. `settings`: sections run, dataset, evaluation.

    `events`: all of the label set. `folder` holds the folds of the data set's own expression types; those of the others
    (run.by_type) lie beside it. `not_run`: experiments without folds, and why ("weights missing"): a row that says so
    and has no metric; its name has the ending of the folder behind it: `fedn.micro`.
    """
    not_run, rows, differences = not_run or {}, [], []
    shared = {"dataset": dataset, "labels": settings["dataset"]["labels"], "source": "ours"}
    for ending, types in expression_types.axis(settings).items():
        names = settings["run"]["experiments"]
        without = {name: not_run[name + ending] for name in names if name + ending in not_run}
        truth, beside = ground_truth(events, types)[0], folder.with_name(folder.name + ending) if ending else folder
        kind = {"expression_types": expression_types.words(types)}
        its_rows, its_differences = _rows(beside, names, without, videos, truth, settings)
        rows += [{**shared, **kind, **row} for row in its_rows]
        differences += [{**kind, **row} for row in its_differences]
    differences = pd.DataFrame(differences, columns=table.DIFFERENCES)
    table.write(table.results_table(rows), stem, differences)
    write_csv(stem.with_name(f"{stem.name}_differences.csv"), differences)
