"""Stage `results`: every fold of every experiment -> one table row each, and the paired differences to the first.

Reads `EXPERIMENT/seedN/folds/NAME/{detections.csv, threshold.json, fold.json}`; refuses folds that do not cover the
data set's videos exactly once, so that a stale or missing fold can never hide in an average.
"""

import json
from collections import Counter

import pandas as pd

from fedn_pipeline.dataset.tables import read_detections
from fedn_pipeline.evaluation.bootstrap import paired_difference, summarise
from fedn_pipeline.files import InputError, write_csv
from fedn_pipeline.report import table


def read_run(folder, videos):
    """One experiment with one seed: `(detection tables, fold records)`; several tables if a column `draw` splits them.

    Raises InputError if the folds in `folder/folds` miss a video (a plain split may) or test one twice.
    """
    records, tables = [], []
    for path in sorted(folder.glob("folds/*/fold.json")):
        threshold = json.loads((path.parent / "threshold.json").read_text(encoding="utf-8"))
        records.append({**json.loads(path.read_text(encoding="utf-8")), **threshold})
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


def weights_text(record):
    """Which weights a fold used and what they have learnt from; `record` is its fold.json."""
    origin = record.get("weights_origin", "unknown")
    words = {"demo stills": table.DEMO_WEIGHTS, "unknown": "origin unknown"}.get(origin, origin)
    return f"{record['backbone']} ({record['weights_sha256'][:8]}), {words}"


def run(dataset, videos, events, folder, stem, settings):
    """Write `stem.csv`, `.md`, `.tex` and `stem_differences.csv`. `settings`: sections run, dataset, evaluation."""
    experiments, seeds = settings["run"]["experiments"], settings["run"]["seeds"]
    labels, evaluation = settings["dataset"]["labels"], settings["evaluation"]
    runs, tested, rows, differences = {}, {}, [], []
    for experiment in experiments:
        runs[experiment], records = [], []
        for seed in seeds:
            tables, found = read_run(folder / experiment / f"seed{seed}", videos)
            runs[experiment] += tables
            records += found
        weights = sorted({weights_text(record) for record in records})
        tested[experiment] = {video for record in records for video in record["test_videos"]}
        rows.append({
            "dataset": dataset, "labels": labels, "method": experiment, "source": "ours",
            "metrics": summarise(*of_videos(tested[experiment], videos, events), runs[experiment], evaluation),
            "weights": "; ".join(weights), "protocol": "; ".join(sorted({protocol(r) for r in records})),
            "seeds": " ".join(map(str, seeds)),
            "omitted_videos": " ".join(sorted(set(videos.video_id) - tested[experiment])),
        })  # fmt: skip
    first = experiments[0]
    for other in experiments[1:]:
        both = tested[first] & tested[other]  # all videos, unless one of them is a plain split
        ours, theirs = ([of_videos(both, run)[0] for run in runs[name]] for name in (first, other))
        for metric, value in paired_difference(*of_videos(both, videos, events), ours, theirs, evaluation).items():
            differences.append({"method": first, "minus": other, "metric": metric, **value._asdict()})
    differences = pd.DataFrame(differences, columns=["method", "minus", "metric", "value", "low", "high"])
    table.write(table.results_table(rows), stem, differences)
    write_csv(stem.with_name(f"{stem.name}_differences.csv"), differences)
