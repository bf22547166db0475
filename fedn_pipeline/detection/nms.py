"""Greedy non-maximum suppression of 1D intervals.

Stands between decoding and the detection table: of intervals that overlap by more than a limit only the most
confident one stays, whatever their emotions. The usual greedy rule (Neubeck & Van Gool 2006; LSSNet and
LGSNet use it too).
"""

import numpy as np


def nms(intervals, confidence, iou):
    """Indices `[k]` int64 of the intervals that stay, in descending confidence.

    `intervals [n, 2]` half-open, of one video; `confidence [n]`; an interval is dropped when its IoU with a
    more confident one that stays is above `iou` (0 to 1). Of equal confidences the lower index goes first. Time
    grows with what stays times what lies around it, so linearly in a video's windows, whose length bounds the
    intervals'; memory with n only.
    """
    intervals = np.asarray(intervals, dtype=np.float64).reshape(-1, 2)
    by_start = np.argsort(intervals[:, 0], kind="stable")
    start, end = intervals[by_start].T.copy()
    length = end - start
    # in order of their starts, all that overlap an interval lie between these two places
    first = np.searchsorted(np.maximum.accumulate(end), start, side="right").tolist()
    last = np.searchsorted(start, end).tolist()
    free = np.ones(len(start), dtype=bool)
    kept = []
    for i in np.lexsort((by_start, -np.asarray(confidence, dtype=np.float64)[by_start])).tolist():
        if free[i]:
            kept.append(i)
            near = slice(first[i], last[i])
            # `intervals.iou` for columns, with nothing to clip: as what does not overlap stays below 0
            overlap = np.minimum(end[near], end[i]) - np.maximum(start[near], start[i])
            free[near] &= overlap / (length[near] + length[i] - overlap) <= iou
    return by_start[kept]
