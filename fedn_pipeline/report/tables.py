"""The paper's tables with our numbers beside the published ones, each as CSV (fractions), Markdown and LaTeX.

Reads what stage `results` wrote (metrics with intervals, paired differences), adds the published rows, and what the
ablation counts: FLOPs, parameters, measured speed. Labels is the paper's Table 1, performance 2, variations 4.
"""

from dataclasses import dataclass, field

import pandas as pd

from fedn_pipeline import files
from fedn_pipeline.dataset import counts
from fedn_pipeline.dataset.tables import emotions, ground_truth
from fedn_pipeline.report import published
from fedn_pipeline.report.table import FURTHER_SCORES, SCORES, aligned, compared, scores

QUALITY = ("spotting_f1", "recognition_f1_micro", "spotting_map", "detection_map")
PRINTED = {
    "performance": [name for name in SCORES if name != "n_ground_truth"],
    "ablation": ["tp", *QUALITY, "gflop", "gmac", "parameters", "frames_per_second", "fold_s"],
    "variations": ["tp", "n_predictions", "fn", *QUALITY],
    "by_type": ["tp", "n_predictions", "n_ground_truth", "spotting_f1", "spotting_map"],
}
NOTES = {
    "labels": "Expressions of each emotion in each label set; published: the paper's Table 1.",
    "performance": "F1 and STRS in percent, mAP ×1000; in brackets 95 % bootstrap intervals over subjects. Recognition "
    "F1s over different true positives are not comparable. Intervals of mAP lean upwards: compare rows by the paired "
    "differences. Published rows are as printed, without interval; recomputed: a peer's public detections under our "
    "rules, the threshold chosen on other subjects.",
    "ablation": "GFLOP per window at the run's backbone.input_size, 2 per MAC. Frames/s: measured, video frames that "
    "one job embeds with the backbone per second of wall clock, its start included. Fold: measured, mean wall clock of "
    "one fold's training and prediction on cached features.",
    "variations": "Predictions: kept ones, which the paper's column FP counts. FN: ground truth minus TP.",
    "costs": "What it takes to run a method. Parameters and GFLOP (2 per MAC of convolutions and matrix products, as "
    "computed): of its own networks, and of the network that makes its cached input (0: there is none; optical flow is "
    "not counted). Frames/s: measured, of the 30 fps axis per second of wall clock: of predicting the test videos from "
    "cached input; of its input and of aligning faces, each by one job at a time with its start; and of one after the "
    "other. Fold: mean wall clock of one fold's training and prediction. A cascade spots as its spotter does.",
    "by_type": "Each row trained and scored with macro-expressions, micro-expressions, or both as ground truth; "
    "expressions of the other type are neither target nor background in training, and what is found there is a false "
    "positive. F1 in percent, mAP ×1000; in brackets 95 % bootstrap intervals over subjects.",
    "claims": "FEDN minus the other row on the metric that decides, which was chosen beforehand; other metrics are in "
    "the CSV. F1 in percent points, mAP ×1000; last column: the published difference. A difference whose 95 % interval "
    "lies above 0 bears the claim out, below 0 contradicts it; else it is not decided.",
}
DIFFERENCES_NOTE = "Paired differences on the same draws of subjects; * interval excludes 0."
LABELS = ["labels", "emotion", "expressions", "published"]


@dataclass(frozen=True)
class Table:
    """`numbers` go into the CSV, `printed` (text) into every other form; `differences` in the columns of results."""

    name: str
    numbers: pd.DataFrame
    printed: pd.DataFrame
    differences: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def note(self):
        return NOTES[self.name]


def labels(dataset, events, types):
    """Table 1: expressions per label set and emotion, ours beside the published ones.

    `events`: of all label sets. Published are macro-expressions: where `types` holds others, that column is empty.
    """
    truth = ground_truth(events, types)[0]
    rows = []
    for label_set in emotions(truth.assign(emotion=truth.label_set)) or [""]:
        mine = truth[truth.label_set.isin(["", label_set])].emotion.value_counts()
        paper = counts.published(dataset, label_set) if list(types) == ["macro"] else {}
        names = [*paper, *sorted(set(mine.index) - set(paper))]
        rows += [(label_set, name or "(none)", int(mine.get(name, 0)), paper.get(name)) for name in names]
        rows.append((label_set, "total", int(mine.sum()), sum(paper.values()) or None))
    numbers = pd.DataFrame(rows, columns=LABELS).astype({"published": "Int64"})
    printed = numbers.astype(object).where(numbers.notna(), "–").astype(str)
    return Table("labels", numbers, printed.rename(columns=str.capitalize))


def comparison(name, results, differences, costs, dataset, label_set):
    """`performance`, `ablation` or `variations`: each of our rows with its published one below, then the other ones.

    `results`, `differences`: tables of stage results; `costs`: experiment -> gflop, gmac, parameters,
    frames_per_second, fold_s (any may be absent).
    """
    mine = results[results.method.isin(published.members(name, results.method))]
    further = pd.DataFrame([costs.get(method, {}) for method in mine.method], columns=list(FURTHER_SCORES), dtype=float)
    further["fn"] = (mine.n_ground_truth - mine.tp).to_numpy()
    mine = mine.reset_index(drop=True).join(further).assign(experiment=list(mine.method))
    theirs = published.rows(name, dataset, label_set)
    place = {experiment: number for number, experiment in enumerate(mine.experiment)}
    numbers = pd.concat([part for part in (mine, theirs) if len(part)], ignore_index=True)
    order = numbers.experiment.map(place).fillna(len(place)).argsort(kind="stable")
    numbers = numbers.iloc[order].reset_index(drop=True)
    printed = scores(numbers, PRINTED[name])
    printed.insert(1, "Source", _source(numbers))
    mine_only = differences[differences.minus.isin(mine.method)]
    return Table(name, numbers.drop(columns="experiment"), printed, mine_only)


def _source(numbers):
    """Where a row is from; of ours that could not run or failed, why."""
    not_run = (numbers.source == "ours") & numbers.tp.isna()
    source = numbers.source.where(~not_run, "not run: " + numbers.weights.astype(str))
    failed = numbers.protocol.astype(str).str.extract("(failed: .*)", expand=False)
    return source.where(failed.isna(), source + "; " + failed)


def by_type(results, differences):
    """Every row of stage results with each ground truth (run.by_type), and the differences within each."""
    printed = scores(results, PRINTED["by_type"])
    printed.insert(2, "Source", _source(results))
    return Table("by_type", results, printed, differences)


def write(folder, table):
    """`folder/NAME.csv`, `.md`, `.tex`, and `NAME_differences.csv` where there are differences."""
    stem = folder / table.name
    files.write_csv(f"{stem}.csv", table.numbers)
    parts = [(table.printed, table.note)]
    if len(table.differences):
        files.write_csv(f"{stem}_differences.csv", table.differences)
        parts.append((compared(table.differences), DIFFERENCES_NOTE))
    files.write_text(f"{stem}.md", "\n".join(f"{aligned(printed)}\n{note}\n" for printed, note in parts))
    tex = "\n".join(f"% {note}\n{printed.to_latex(index=False, escape=True)}" for printed, note in parts)
    files.write_text(f"{stem}.tex", tex)
