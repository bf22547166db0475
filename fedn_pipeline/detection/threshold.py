"""The confidence threshold of a fold, chosen on held-out training videos, never on its test subject.

Stands between NMS and `kept` in the detection table. One matching pass serves every candidate: with
one-to-one matching in descending confidence, a higher threshold only cuts off the end of the ranking and
changes no other match, so that the true positives of every threshold are one cumulative sum. Source:
evaluation.md, "How the threshold is chosen".
"""

import numpy as np

# against the flow, on purpose: the threshold is chosen by the very rule that it will be judged by
from fedn_pipeline.matching import UNMATCHED, match


def choose_threshold(detections, events, videos, iou=0.5, fallback=0.5):
    """The threshold that maximises strict spotting F1 over `videos`, where `confidence >= threshold` is kept.

    `detections` (video_id, onset, offset, confidence) and `events` (video_id, onset, offset) of other videos
    are ignored. Returns `threshold` and what it gives on these videos: `spotting_f1, tp, n_predictions,
    n_ground_truth`, with the `iou` used; plain numbers, ready for threshold.json.

    Of thresholds with equal F1 the one with the fewest predictions wins (so, where nothing is right, only the
    most confident predictions stay). The value lies midway between the least confident prediction kept and
    the next one, so that it does not hang on one prediction's last digit. Without any prediction it is
    `fallback`.
    """
    videos_given = set(videos["video_id"])
    detections = detections[detections["video_id"].isin(videos_given)]
    events = events[events["video_id"].isin(videos_given)]
    counts = {"n_ground_truth": len(events), "iou": float(iou)}
    if not len(detections):
        f1 = 0.0 if len(events) else None
        return counts | {"threshold": float(fallback), "spotting_f1": f1, "tp": 0, "n_predictions": 0}

    confidence = detections["confidence"].to_numpy(dtype=np.float64)
    order = np.argsort(-confidence, kind="stable")
    confidence = confidence[order]
    tp = np.cumsum((match(detections, events, [iou])[0] != UNMATCHED)[order])
    n_predictions = np.arange(1, len(confidence) + 1)
    f1 = 2 * tp / (n_predictions + len(events))
    # equal confidences are kept or dropped together: only the last of them is a possible cut
    cuts = np.flatnonzero(np.append(confidence[:-1] > confidence[1:], True))
    best = cuts[np.argmax(f1[cuts])]
    return counts | {
        "threshold": _midway(confidence, best),
        "spotting_f1": float(f1[best]),
        "tp": int(tp[best]),
        "n_predictions": int(n_predictions[best]),
    }


def _midway(confidence, last):
    """A value that keeps exactly `confidence[:last + 1]` (descending)."""
    lowest_kept = confidence[last]
    if last + 1 == len(confidence):
        return float(lowest_kept)
    middle = (lowest_kept + confidence[last + 1]) / 2
    return float(middle if middle > confidence[last + 1] else lowest_kept)  # neighbouring floats have no middle
