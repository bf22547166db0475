"""One-to-one matching of predicted intervals to ground truth, at many IoU thresholds at once.

Within a video (and, for detection mAP, within an emotion) predictions are taken in descending confidence, and
each takes the free ground truth that it overlaps most, if their IoU reaches the threshold. Shared by the F1s,
the mAPs and the choice of the threshold. Source: evaluation.md; the same greedy rule as COCO's (Lin et al.
2014).
"""

from collections import defaultdict

import numpy as np

from fedn_pipeline import intervals

UNMATCHED = -1


def match(detections, events, iou_thresholds, by_emotion=False):
    """The ground truth that each detection is matched to, at each IoU threshold.

    `detections` (video_id, onset, offset, confidence; emotion if `by_emotion`), `events` (video_id, onset,
    offset; emotion if `by_emotion`), `iou_thresholds [n_thresholds]`. Returns `matched [n_thresholds,
    n_detections]` int64: a row position in `events`, or -1. With `by_emotion` only equal emotions match, and
    an empty emotion never does.

    Ties are those of pycocotools: of equal confidences the earlier row goes first, of equally overlapped
    ground truths the later row is taken.

    Because predictions go in descending confidence, dropping the least confident ones of a video leaves every
    other match as it was.
    """
    thresholds = np.atleast_1d(np.asarray(iou_thresholds, dtype=np.float64))
    matched = np.full((len(thresholds), len(detections)), UNMATCHED, dtype=np.int64)
    predicted = intervals.half_open(detections["onset"], detections["offset"])
    true = intervals.half_open(events["onset"], events["offset"])
    confidence = detections["confidence"].to_numpy(dtype=np.float64)
    columns = ["video_id", "emotion"] if by_emotion else ["video_id"]
    rows_of_events = _rows_by_group(events, columns)
    for group, rows in _rows_by_group(detections, columns).items():
        candidates = rows_of_events.get(group)
        if candidates is None:
            continue
        rows = rows[np.argsort(-confidence[rows], kind="stable")]
        taken = _match_ranked(predicted[rows], true[candidates], thresholds)
        matched[:, rows] = np.where(taken == UNMATCHED, UNMATCHED, candidates[taken])
    return matched


def _rows_by_group(table, columns):
    """Row positions, ascending, of each combination of values; an empty value belongs to none."""
    groups = defaultdict(list)
    for row, group in enumerate(zip(*(table[name] for name in columns), strict=True)):
        if all(group):
            groups[group].append(row)
    return {group: np.array(rows) for group, rows in groups.items()}


def _match_ranked(predicted, true, thresholds):
    """`predicted [n, 2]` in descending confidence, `true [m, 2]` -> ground truth or -1 `[t, n]`."""
    overlap = intervals.pairwise_iou(predicted, true)
    taken = np.full((len(thresholds), len(predicted)), UNMATCHED, dtype=np.int64)
    free = np.ones((len(thresholds), len(true)), dtype=bool)
    last = len(true) - 1
    for i in np.flatnonzero(overlap.max(axis=1) >= thresholds.min()):
        eligible = np.where(free & (overlap[i] >= thresholds[:, None]), overlap[i], -1.0)
        best = last - eligible[:, ::-1].argmax(axis=1)
        hit = np.flatnonzero(eligible.max(axis=1) >= 0)
        taken[hit, i] = best[hit]
        free[hit, best[hit]] = False
    return taken
