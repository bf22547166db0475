"""Curves over time that frame-wise peers share: peaks, intervals around them, and each video's relative height."""

import numpy as np
from scipy.signal import find_peaks


def peaks_of(curve, distance):
    """Steps `[k]` of the peaks of `curve [n]`, at least `distance` steps apart; its ends may be peaks."""
    peaks, _ = find_peaks(np.concatenate([[-np.inf], curve, [-np.inf]]), distance=max(1, round(distance)))
    return peaks - 1


def around_peaks(curve, distance, reach):
    """Peaks of `curve [n]` at least `distance` steps apart: `(spans [k, 2] half-open, heights [k])`.

    An interval reaches `reach` steps to both sides, within the curve.
    """
    peaks = peaks_of(curve, distance)
    spans = np.stack([peaks - reach, peaks + reach + 1], axis=-1).clip(0, len(curve)).astype(np.float64)
    return spans, curve[peaks]


def relative(heights, curve):
    """Where heights lie between the mean and the highest value of their video's `curve`, 0 to 1 (below the mean: 0).

    The published spotters' threshold `mean + p (max - mean)` is p on this scale.
    """
    mean, highest = float(np.mean(curve)), float(np.max(curve))
    if highest <= mean:
        return np.zeros(len(heights))
    return ((heights - mean) / (highest - mean)).clip(0, 1)
