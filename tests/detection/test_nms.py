"""NMS against its definition, one pair of intervals after the other."""

import numpy as np
import pytest

from fedn_pipeline import intervals as interval_arithmetic
from fedn_pipeline.detection.nms import nms


def brute_force(intervals, confidence, limit):
    """Kept, in descending confidence: whoever overlaps no more confident kept one by more than `limit`."""
    kept = []
    for i in sorted(range(len(intervals)), key=lambda i: (-confidence[i], i)):
        start, end = intervals[i]
        for j in kept:
            overlap = max(0, min(end, intervals[j][1]) - max(start, intervals[j][0]))
            union = end - start + intervals[j][1] - intervals[j][0] - overlap
            if union > 0 and overlap / union > limit:
                break
        else:
            kept.append(i)
    return kept


@pytest.mark.parametrize("limit", [0.0, 0.01, 0.2, 0.5, 1.0])
def test_equals_brute_force(limit):
    random = np.random.default_rng(round(100 * limit))
    for _ in range(600):
        n = random.integers(0, 25)
        # whole frames, where IoU may equal the limit exactly, or real numbers, where it never does
        start, length = random.integers(0, 40, n), random.integers(1, 15, n)
        if random.random() < 0.5:
            start, length = random.random(n) * 40, random.random(n) * 15
        intervals = np.stack([start, start + length], axis=1).astype(float)
        confidence = random.random(n).round(1)  # ties are the rule
        assert nms(intervals, confidence, limit).tolist() == brute_force(intervals, confidence, limit)


def all_that_remain(intervals, confidence, limit):
    """The rule with every interval that is left compared at each step."""
    remaining, kept = np.argsort(-confidence, kind="stable"), []
    while len(remaining):
        first, remaining = remaining[0], remaining[1:]
        kept.append(first)
        remaining = remaining[interval_arithmetic.iou(intervals[remaining], intervals[first]) <= limit]
    return kept


@pytest.mark.parametrize("limit", [0.0, 0.2, 0.7])
@pytest.mark.parametrize("whole", [False, True])
def test_comparing_only_what_may_overlap_changes_nothing(limit, whole):
    """A long video, lengths from less than a frame to most of it, equal confidences."""
    random = np.random.default_rng(0)
    centre, half = random.random(3000) * 5000, random.lognormal(2, 1.5, 3000)
    intervals = np.stack([centre - half, centre + half], axis=1).clip(0, 5000)
    if whole:
        intervals = np.rint(intervals)  # some are empty then
    confidence = random.random(3000).round(2)
    assert nms(intervals, confidence, limit).tolist() == all_that_remain(intervals, confidence, limit)


def test_touching_intervals_both_stay_and_an_overlap_at_the_limit_too():
    assert nms(np.array([[0, 10], [10, 20]]), np.array([0.1, 0.9]), 0.0).tolist() == [1, 0]
    half = np.array([[0, 10], [0, 5]])
    assert nms(half, np.array([0.9, 0.1]), 0.5).tolist() == [0, 1]
    assert nms(half, np.array([0.9, 0.1]), 0.49).tolist() == [0]


def test_a_suppressed_interval_suppresses_nothing():
    chain = np.array([[0, 10], [6, 16], [12, 22]])
    assert nms(chain, np.array([0.9, 0.8, 0.7]), 0.2).tolist() == [0, 2]


def test_no_intervals():
    kept = nms(np.zeros((0, 2)), np.zeros(0), 0.2)
    assert kept.shape == (0,) and kept.dtype == np.int64


def test_ten_thousand_candidates_of_one_video():
    random = np.random.default_rng(0)
    start = random.random(10_000) * 30_000
    intervals = np.stack([start, start + random.random(10_000) * 60], axis=1)
    confidence = random.random(10_000)
    kept = nms(intervals, confidence, 0.2)
    assert (np.diff(confidence[kept]) <= 0).all() and 1000 < len(kept) < 10_000
    assert nms(intervals[kept], confidence[kept], 0.2).tolist() == list(range(len(kept)))
