"""Bridge short runs of frames without a face by interpolation; mark the others as missing.

Fifth step of the faces stage. The marks travel in the alignment csv to features, detections and evaluation.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

TRACKED, BRIDGED, MISSING = "tracked", "bridged", "missing"


def runs(mask):
    """Runs of True in `mask [n]` bool as a list of half-open `(start, end)`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def unbridged(found, max_gap):
    """Runs `(start, end)` of frames without a face, `found [n_frames]` bool, too long to bridge or at an end."""
    return [run for run in runs(~found) if run[0] == 0 or run[1] == len(found) or run[1] - run[0] > max_gap]


def bridge(values, found, max_gap):
    """Fill runs of at most `max_gap` frames that have a face on both sides.

    `values [n_frames, d]` float64 (anything where not found), `found [n_frames]` bool. Returns the values, linearly
    interpolated in bridged frames and NaN in missing ones, and the status `[n_frames]` of each frame.
    """
    values = np.where(found[:, None], values, np.nan)
    status = np.where(found, TRACKED, MISSING)
    for start, end in sorted({*runs(~found)} - {*unbridged(found, max_gap)}):
        share = (np.arange(start, end) - start + 1)[:, None] / (end - start + 1)
        values[start:end] = (1 - share) * values[start - 1] + share * values[end]
        status[start:end] = BRIDGED
    return values, status


def smooth(similarities, width):
    """Gaussian over time (standard deviation `width` frames) in each run of known `similarities [n_frames, 4]`."""
    smoothed = similarities.copy()
    if width > 0:
        for start, end in runs(np.isfinite(similarities[:, 0])):
            smoothed[start:end] = gaussian_filter1d(similarities[start:end], width, axis=0, mode="nearest")
    return smoothed
