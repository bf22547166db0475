"""One-to-one matching of predicted intervals to ground truth, at many IoU thresholds and in all videos at once.

Within a video (and, for detection mAP, within an emotion) predictions are taken in descending confidence, and
each takes the free ground truth that it overlaps most, if their IoU reaches the threshold. Shared by the F1s,
the mAPs and the choice of the threshold. Source: evaluation.md; the same greedy rule as COCO's (Lin et al.
2014).
"""

import numpy as np
import pandas as pd

from fedn_pipeline import intervals

UNMATCHED = -1


def match(detections, events, iou_thresholds, by_emotion=False):
    """The ground truth that each detection is matched to, at each IoU threshold.

    `detections` (video_id, onset, offset, confidence; emotion if `by_emotion`), `events` (video_id, onset,
    offset; emotion if `by_emotion`), `iou_thresholds [n_thresholds]` above 0. Returns `matched [n_thresholds,
    n_detections]` int64: a row position in `events`, or -1. With `by_emotion` only equal emotions match, and
    an empty emotion never does.

    Ties are those of pycocotools: of equal confidences the earlier row goes first, of equally overlapped
    ground truths the later row is taken.

    Because predictions go in descending confidence, dropping the least confident ones of a video leaves every
    other match as it was.
    """
    thresholds = np.atleast_1d(np.asarray(iou_thresholds, dtype=np.float64))
    columns = ["video_id", "emotion"] if by_emotion else ["video_id"]
    detection, event, overlap = _pairs(detections, events, columns, thresholds.min())
    confidence = detections["confidence"].to_numpy(dtype=np.float64)[detection]
    offered = np.lexsort((-event, -overlap, detection, -confidence))  # to each detection its best ground truth first
    threshold, pair = np.nonzero(overlap[offered] >= thresholds[:, None])
    # one number for each detection, and for each ground truth, at each threshold
    detection = threshold * len(detections) + detection[offered][pair]
    event = threshold * len(events) + event[offered][pair]
    matched = np.full(len(thresholds) * len(detections), UNMATCHED, dtype=np.int64)
    taken = np.zeros(len(thresholds) * len(events), dtype=bool)
    while len(event):
        # no earlier offer can take either side of a pair that is the first one of both: settle all of these at once
        settled = _is_first(detection) & _is_first(event)
        matched[detection[settled]] = event[settled] % len(events)
        taken[event[settled]] = True
        free = (matched[detection] == UNMATCHED) & ~taken[event]
        detection, event = detection[free], event[free]
    return matched.reshape(len(thresholds), len(detections))


def _pairs(detections, events, columns, least):
    """Row in `detections`, row in `events` and IoU, `[n_pairs]` each, of all pairs with an IoU of `least` or more.

    Both share the values of `columns`, none empty. Sorted by onset on one axis, on which each combination of values
    has a stretch of its own, the events that a detection can overlap are one range.
    """
    predicted, true = (intervals.half_open(table["onset"], table["offset"]) for table in (detections, events))
    group = _groups([detections, events], columns)
    every = np.concatenate([predicted, true])
    stretch = every.max(initial=0) - every.min(initial=0)
    on_axis = every + (stretch * group)[:, None]
    start, end = on_axis[: len(predicted)].T
    row = np.argsort(on_axis[len(predicted) :, 0], kind="stable")
    true_start, true_end = on_axis[len(predicted) :][row].T
    first = np.searchsorted(np.maximum.accumulate(true_end), start, side="right")
    count = np.maximum(np.searchsorted(true_start, end) - first, 0) * (group[: len(predicted)] >= 0)
    detection = np.repeat(np.arange(len(predicted)), count)
    event = row[np.arange(len(detection)) + np.repeat(first - (np.cumsum(count) - count), count)]
    overlap = intervals.iou(predicted[detection], true[event])
    enough = overlap >= least
    return detection[enough], event[enough], overlap[enough]


def _groups(tables, columns):
    """A number for each row of all tables `[n]` int64, equal where all columns are; -1 where one of them is empty."""
    group = np.zeros(sum(map(len, tables)), dtype=np.int64)
    for name in columns:
        code, values = pd.factorize(np.concatenate([table[name].to_numpy(dtype=object) for table in tables]))
        empty = (np.append(values, "") == "")[code]  # a missing value has code -1, the last place
        group = np.where(empty | (group < 0), -1, group * len(values) + code)
    return group


def _is_first(key):
    """Whether each entry of `key [n]` is the first of its value, `[n]` bool."""
    first = np.zeros(len(key), dtype=bool)
    first[np.unique(key, return_index=True)[1]] = True
    return first
