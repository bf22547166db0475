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

    `threshold`: that of OWN_SCORE, None: the one that is best on the test subjects, all folds pooled. `many_to_one`: a
    ground truth is found if any prediction reaches the IoU, and a prediction is right if it reaches that of any.
    `annotated_only`: videos without ground truth do not count.
    """

    words: str
    threshold: float | None = None
    many_to_one: bool = False
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
    hit = _right(ranked, events, iou) if habit.many_to_one else match(ranked, events, [iou])[0] != UNMATCHED
    order = np.argsort(-score, kind="stable")
    ascending = -score[order]
    n = np.searchsorted(ascending, -cuts, side="right")  # predictions at or above each cut
    right = np.concatenate([[0], np.cumsum(hit[order])])[n]
    values = 2 * right / np.maximum(1, n + len(events))
    best = int(np.argmax(values))
    return float(values[best]), float(cuts[best])


def _right(detections, events, iou):
    """Whether each detection reaches the IoU with any ground truth of its video `[n]` bool: one may stand for many."""
    hit = np.zeros(len(detections), dtype=bool)
    by_video = dict(tuple(events.groupby("video_id")))
    for video, rows in detections.groupby("video_id").groups.items():
        if video in by_video:
            spans = intervals.half_open(detections.onset[rows].to_numpy(), detections.offset[rows].to_numpy())
            truth = intervals.half_open(by_video[video].onset.to_numpy(), by_video[video].offset.to_numpy())
            hit[rows] = (intervals.pairwise_iou(spans, truth) >= iou).any(axis=1)
    return hit
