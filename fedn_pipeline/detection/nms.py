"""Greedy non-maximum suppression of 1D intervals.

Stands between decoding and the detection table: of intervals that overlap by more than a limit only the most
confident one stays, whatever their emotions. The usual greedy rule (Neubeck & Van Gool 2006; LSSNet and
LGSNet use it too).
"""

import numpy as np

from fedn_pipeline.intervals import iou as elementwise_iou


def nms(intervals, confidence, iou):
    """Indices `[k]` int64 of the intervals that stay, in descending confidence.

    `intervals [n, 2]` half-open, of one video; `confidence [n]`; an interval is dropped when its IoU with a
    more confident one that stays is above `iou`. Of equal confidences the lower index goes first. Memory
    grows with n only.
    """
    intervals = np.asarray(intervals, dtype=np.float64).reshape(-1, 2)
    remaining = np.argsort(-np.asarray(confidence, dtype=np.float64), kind="stable")
    kept = []
    while len(remaining):
        first, remaining = remaining[0], remaining[1:]
        kept.append(first)
        remaining = remaining[elementwise_iou(intervals[remaining], intervals[first]) <= iou]
    return np.array(kept, dtype=np.int64)
