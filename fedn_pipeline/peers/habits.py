"""What a method's own published protocol makes of its detections, beside the strict number and never instead of it.

evaluation.md, "Spotting F1": published code takes the threshold that is best on the test subjects, lets one prediction
satisfy several ground truths, or does not count predictions in videos without ground truth. Each is a field of a Habit.
"""

from dataclasses import asdict, dataclass

import numpy as np

from fedn_pipeline import intervals
from fedn_pipeline.matching import UNMATCHED, match

OWN_SCORE = "own_score"  # column of a peer's detections.csv: what its own protocol compares with its own threshold


@dataclass(frozen=True)
class Habit:
    """A published protocol in words, and what it does.

    `threshold`: that of OWN_SCORE, None: the one that is best on the test subjects, all folds pooled. `many_to_one`:
    every ground truth that some prediction reaches is a true positive, so that one prediction may stand for several
    (precision may even exceed 1, as in LGSNet's code). `every_hit`: every prediction that reaches some ground truth is
    a true positive, so that several may count for one (recall and F1 may exceed 1, as in AUW-GCN's code).
    `annotated_only`: videos without ground truth do not count.
    """

    words: str
    threshold: float | None = None
    many_to_one: bool = False
    every_hit: bool = False
    annotated_only: bool = False

    def as_dict(self):
        """For threshold.json."""
        return asdict(self)


def f1(detections, events, habit, iou):
    """Spotting F1 by a Habit of all folds' `detections` (with OWN_SCORE), and the threshold: `(F1, threshold)`.

    None for both where it is undefined.
    """
    if habit.annotated_only:
        detections = detections[detections.video_id.isin(set(events.video_id))]
    detections = detections.reset_index(drop=True)
    score = detections[OWN_SCORE].to_numpy(dtype=np.float64)
    if not len(score):
        return (0.0 if len(events) else None), None
    cuts = np.array([habit.threshold]) if habit.threshold is not None else np.unique(score)[::-1]
    # By the method's own score: with one-to-one matching a lower threshold only adds to the end of the ranking.
    ranked = detections.assign(confidence=score)
    if habit.many_to_one:
        right = _reached(ranked, events, iou)  # scores of true positives
    elif habit.every_hit:
        right = score[_hits(ranked, events, iou)]
    else:
        right = score[match(ranked, events, [iou])[0] != UNMATCHED]
    values = 2 * _at_least(cuts, right) / np.maximum(1, _at_least(cuts, score) + len(events))
    best = int(np.argmax(values))
    return float(values[best]), float(cuts[best])


def _at_least(cuts, scores):
    """How many scores reach each cut."""
    return len(scores) - np.searchsorted(np.sort(scores), cuts)


def _reached(detections, events, iou):
    """Of each ground truth that some prediction of its video reaches: the highest confidence of those that do."""
    best = []
    predicted = dict(tuple(detections.groupby("video_id")))
    for video, truths in events.groupby("video_id"):
        if video in predicted:
            found = predicted[video]
            spans = intervals.half_open(found.onset.to_numpy(), found.offset.to_numpy())
            truth = intervals.half_open(truths.onset.to_numpy(), truths.offset.to_numpy())
            hit = intervals.pairwise_iou(truth, spans) >= iou
            best.append(np.where(hit, found.confidence.to_numpy(), -np.inf).max(axis=1))
    best = np.concatenate([np.zeros(0), *best])
    return best[np.isfinite(best)]


def _hits(detections, events, iou):
    """Which of the detections reach some ground truth of their video, `[n]` bool."""
    found = np.zeros(len(detections), dtype=bool)
    truths = dict(tuple(events.groupby("video_id")))
    for video, rows in detections.groupby("video_id").indices.items():
        if video in truths:
            part, truth = detections.iloc[rows], truths[video]
            spans = intervals.half_open(part.onset.to_numpy(), part.offset.to_numpy())
            wanted = intervals.half_open(truth.onset.to_numpy(), truth.offset.to_numpy())
            found[rows] = (intervals.pairwise_iou(spans, wanted) >= iou).any(axis=1)
    return found
