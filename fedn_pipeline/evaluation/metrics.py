"""Spotting F1, recognition F1, mAP and STRS of one detection table, all from counts per subject.

`collect` matches every video once and counts by subject; `score` turns counts, weighted by how often each
subject counts, into metrics; `evaluate` is both with all weights 1, and the bootstrap calls `score` with its
draws. Follows the matching in the flow. Source of every definition: evaluation.md.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fedn_pipeline import config
from fedn_pipeline.dataset import tables
from fedn_pipeline.evaluation.average_precision import average_precision
from fedn_pipeline.files import InputError
from fedn_pipeline.matching import UNMATCHED, match

COUNTS = ("tp", "n_predictions", "n_ground_truth")
METRICS = (
    "spotting_f1",
    "recognition_f1_micro",
    "recognition_f1_macro",
    "spotting_map",
    "detection_map",
    "strs",
    "spotting_map_all_point",
    "detection_map_all_point",
)


@dataclass(frozen=True)
class Ranking:
    """All predictions of one class in descending confidence, over the whole data set."""

    true_positive: np.ndarray  # [n_thresholds, n] bool
    subject: np.ndarray  # [n] index of the subject
    n_ground_truth: np.ndarray  # [n_subjects]


@dataclass(frozen=True)
class Evidence:
    """What the metrics need of one detection table, by subject."""

    tp: np.ndarray  # [n_subjects] kept predictions that are matched
    n_predictions: np.ndarray  # [n_subjects] kept predictions
    n_ground_truth: np.ndarray  # [n_subjects]
    spotting: Ranking
    emotions: list  # one Ranking per emotion with ground truth; None: the method names no emotions
    confusion: np.ndarray  # [n_subjects, n_emotions, n_emotions + 1] true positives: true by predicted (last: other)


def evaluate(videos, events, detections, threshold=None, settings=None):
    """All metrics of one detection table, as fractions; None where undefined.

    `videos` (video_id, subject), `events` (video_id, onset, offset, emotion), `detections` (video_id, onset,
    offset, confidence, emotion, kept), as `dataset.tables` reads them. F1s and STRS use the kept rows, mAPs
    all rows; `threshold` sets kept to `confidence >= threshold`. `settings`: section `evaluation` of the
    schema (None: its defaults). Returns `tp, n_predictions, n_ground_truth` (int) and METRICS (float or
    None). Raises InputError.
    """
    detections = with_kept(detections, threshold)
    evidence = collect(videos, events, detections, settings or default_settings())
    once = np.ones((1, len(evidence.tp)))
    scores = {name: values[0] for name, values in score(evidence, once).items()}
    counts = {name: int(scores[name]) for name in COUNTS}
    return counts | {name: None if np.isnan(scores[name]) else float(scores[name]) for name in METRICS}


def default_settings():
    """Section `evaluation` of the schema, all defaults."""
    return config.validate({})["evaluation"]


def with_kept(detections, threshold=None):
    """The table with a boolean column `kept`, set by the threshold if there is one."""
    if threshold is not None:
        return detections.assign(kept=detections["confidence"] >= threshold)
    if "kept" not in detections:
        raise InputError("detections: no column `kept`; give a threshold, or mark the rows that F1 counts")
    if not detections["kept"].isin([True, False]).all():
        raise InputError("detections: column `kept` holds other values than True and False")
    return detections.assign(kept=detections["kept"].astype(bool))


def subjects(videos):
    """Subjects in sorted order: the axis of every `[n_subjects]` array."""
    return sorted(videos["subject"].unique())


def collect(videos, events, detections, settings):
    """Match every video once and count by subject: an Evidence. Raises InputError for unknown videos."""
    events, detections = _placed(videos, events, "events"), _placed(videos, detections, "detections")
    n_subjects = len(subjects(videos))
    emotions = tables.emotions(events)
    kept = detections[detections["kept"]]
    matched = match(kept, events, [settings["iou"]])[0]
    count = _counter(n_subjects)
    return Evidence(
        tp=count(kept[matched != UNMATCHED]),
        n_predictions=count(kept),
        n_ground_truth=count(events),
        spotting=_spotting_ranking(events, detections, settings, count),
        emotions=_emotion_rankings(events, detections, emotions, settings, count),
        confusion=_confusion(kept, events, matched, emotions, n_subjects),
    )


def _placed(videos, table, name):
    """The table with `video` and `subject`: the places of each row's among the videos and among `subjects`."""
    video = pd.Index(videos["video_id"]).get_indexer(table["video_id"])
    unknown = sorted(table["video_id"][video < 0].unique())
    if unknown:
        raise InputError(f"{name}: unknown video {', '.join(map(repr, unknown))}: not in the table of videos")
    return table.assign(video=video, subject=np.searchsorted(subjects(videos), videos["subject"])[video])


def _counter(n_subjects):
    return lambda table: np.bincount(table["subject"], minlength=n_subjects)


def _descending(detections):
    """Row positions in descending confidence; ties by the video's place among the videos, then by row."""
    return np.lexsort((detections["video"].to_numpy(), -detections["confidence"].to_numpy()))


def _spotting_ranking(events, detections, settings, count):
    order = _descending(detections)
    hit = match(detections, events, settings["map_ious"]) != UNMATCHED
    return Ranking(hit[:, order], detections["subject"].to_numpy()[order], count(events))


def _emotion_rankings(events, detections, emotions, settings, count):
    """One ranking per emotion with ground truth; None if there are predictions and none names an emotion."""
    predicted = detections["emotion"].to_numpy()
    if len(predicted) and (predicted == "").all():
        return None
    order = _descending(detections)
    hit = match(detections, events, settings["map_ious"], by_emotion=True) != UNMATCHED
    hit, subject, predicted = hit[:, order], detections["subject"].to_numpy()[order], predicted[order]
    return [
        Ranking(hit[:, predicted == name], subject[predicted == name], count(events[events["emotion"] == name]))
        for name in emotions
    ]


def _confusion(kept, events, matched, emotions, n_subjects):
    """True positives by subject, true and predicted emotion; ground truth without emotion is left out."""
    confusion = np.zeros((n_subjects, len(emotions), len(emotions) + 1))
    index = {name: i for i, name in enumerate(emotions)}
    hit = np.flatnonzero(matched != UNMATCHED)
    true = events["emotion"].to_numpy()[matched[hit]]
    predicted, subject = kept["emotion"].to_numpy()[hit], kept["subject"].to_numpy()[hit]
    for s, t, p in zip(subject, true, predicted, strict=True):
        if t in index:
            confusion[s, index[t], index.get(p, len(emotions))] += 1
    return confusion


def score(evidence, weights):
    """Every count and metric once per draw: name -> `[n_draws]` float64, NaN where undefined.

    `weights [n_draws, n_subjects]` whole numbers: how often each subject counts.
    """
    weights = np.asarray(weights, dtype=np.float64)
    scores = {name: weights @ getattr(evidence, name) for name in COUNTS}
    scores["spotting_f1"] = _ratio(2 * scores["tp"], scores["n_predictions"] + scores["n_ground_truth"])
    scores |= _mean_average_precision("spotting_map", [evidence.spotting], weights)
    if evidence.emotions is None:
        undefined = np.full(len(weights), np.nan)
        scores |= {name: undefined for name in METRICS if name not in scores}
        return scores
    scores |= _mean_average_precision("detection_map", evidence.emotions, weights)
    scores |= _recognition(evidence, weights)
    scores["strs"] = scores["spotting_f1"] * scores.pop("analysis_f1")
    return scores


def _mean_average_precision(name, rankings, weights):
    """Mean over IoU thresholds, then over the classes with ground truth in the draw; both AP variants."""
    by_class = np.full((2, len(rankings), len(weights)), np.nan)
    for i, ranking in enumerate(rankings):
        variants = average_precision(ranking.true_positive, ranking.subject, ranking.n_ground_truth, weights)
        by_class[:, i] = [variant.mean(axis=0) for variant in variants]
    interpolated, all_point = _mean_where(by_class, ~np.isnan(by_class), axis=1)
    return {name: interpolated, f"{name}_all_point": all_point}


def ap_by_iou(evidence, weights):
    """AP (101-point) at each IoU threshold, whose mean over the thresholds is the mAP: `spotting` and `detection`.

    Each `[n_thresholds, n_draws]`, NaN in draws without ground truth; `detection` is None without emotions.
    """

    def mean_over_classes(rankings):
        by_class = [average_precision(r.true_positive, r.subject, r.n_ground_truth, weights)[0] for r in rankings]
        return _mean_where(np.array(by_class), ~np.isnan(by_class), axis=0)

    classes = {"spotting": [evidence.spotting], "detection": evidence.emotions}
    return {name: mean_over_classes(rankings) if rankings else None for name, rankings in classes.items()}


def _recognition(evidence, weights):
    """Micro and macro F1 over true positives, and F1_analysis of STRS, `[n_draws]` each.

    The macro averages run over the emotions with ground truth in the draw, whether or not any of it was
    spotted; an emotion that is never spotted or never predicted counts 0.
    """
    n_emotions = len(evidence.emotions)
    confusion = np.tensordot(weights, evidence.confusion, axes=1)  # [n_draws, true, predicted]
    ground_truth = [weights @ ranking.n_ground_truth for ranking in evidence.emotions]
    present = np.reshape(ground_truth, (n_emotions, len(weights))).T > 0  # [n_draws, n_emotions]
    correct = np.diagonal(confusion, axis1=1, axis2=2)
    spotted, predicted = confusion.sum(axis=2), confusion.sum(axis=1)[:, :n_emotions]
    total = spotted.sum(axis=1)

    def macro(numerator, denominator):
        values = _mean_where(_ratio(numerator, denominator, undefined=0.0), present, axis=1)
        return np.where(total > 0, values, np.nan)

    precision, recall = macro(correct, predicted), macro(correct, spotted)
    return {
        "recognition_f1_micro": _ratio(correct.sum(axis=1), total),
        "recognition_f1_macro": macro(2 * correct, predicted + spotted),
        "analysis_f1": np.where(total > 0, _ratio(2 * precision * recall, precision + recall, undefined=0.0), np.nan),
    }


def _ratio(numerator, denominator, undefined=np.nan):
    result = np.full(np.shape(numerator), undefined, dtype=np.float64)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)


def _mean_where(values, included, axis):
    """Mean over the included entries; NaN where there are none."""
    return _ratio(np.where(included, values, 0).sum(axis=axis), included.sum(axis=axis))
