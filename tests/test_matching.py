"""Matching against a literal reading of evaluation.md, with sets of frames instead of interval arithmetic."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedn_pipeline.matching import UNMATCHED, match

THRESHOLDS = [0.3, 0.5, 0.75, 0.95]
EMOTIONS = ["anger", "happiness", ""]

interval = st.tuples(st.integers(0, 25), st.integers(0, 9), st.sampled_from("ab"), st.sampled_from(EMOTIONS))
prediction = st.tuples(interval, st.sampled_from([0.1, 0.2, 0.3, 0.4]))


def table(rows):
    columns = {name: [row[i] for row in rows] for i, name in enumerate(["onset", "length", "video_id", "emotion"])}
    frame = pd.DataFrame(columns).astype({"onset": np.int64, "length": np.int64, "video_id": str, "emotion": str})
    return frame.assign(offset=frame["onset"] + frame["length"])


def detection_table(predictions):
    confidence = np.array([confidence for _, confidence in predictions], dtype=np.float64)
    return table([row for row, _ in predictions]).assign(confidence=confidence)


def brute_force(predictions, truths, threshold, by_emotion):
    """One prediction after the other, each over all ground truths; IoU of sets of frames."""

    def frames(row):
        return set(range(row[0], row[0] + row[1] + 1))

    matched, taken = [UNMATCHED] * len(predictions), set()
    for i in sorted(range(len(predictions)), key=lambda i: -predictions[i][1]):
        predicted, best, best_iou = predictions[i][0], UNMATCHED, threshold
        for j, true in enumerate(truths):
            if true[2] != predicted[2] or j in taken:
                continue
            if by_emotion and (true[3] != predicted[3] or true[3] == ""):
                continue
            iou = len(frames(predicted) & frames(true)) / len(frames(predicted) | frames(true))
            if iou >= best_iou:
                best, best_iou = j, iou
        matched[i] = best
        taken.add(best)
    return matched


@pytest.mark.parametrize("by_emotion", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_equals_brute_force(seed, by_emotion):
    """A hundred small, crowded videos in one table; four confidences, so that ties are the rule."""
    random = np.random.default_rng(seed)

    def rows(most):
        return [
            (int(random.integers(0, 25)), int(random.integers(0, 10)), f"v{video}", str(random.choice(EMOTIONS)))
            for video in range(100)
            for _ in range(random.integers(0, most))
        ]

    truths = rows(6)
    predictions = [(row, float(random.integers(1, 5))) for row in rows(12)]
    random.shuffle(predictions)
    matched = match(detection_table(predictions), table(truths), THRESHOLDS, by_emotion)
    assert matched.shape == (len(THRESHOLDS), len(predictions)) and (matched >= 0).any()
    for t, threshold in enumerate(THRESHOLDS):
        assert matched[t].tolist() == brute_force(predictions, truths, threshold, by_emotion)


@pytest.mark.parametrize("by_emotion", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_intervals_of_all_lengths_equal_brute_force(seed, by_emotion):
    """Long videos, jittered ground truth, lengths from 3 frames to thousands: what one overlaps is far from its row."""
    random = np.random.default_rng(seed)
    length = (3 + random.lognormal(3, 1.5, 60)).astype(int)
    places = zip(random.integers(0, 2000, 60), length, random.integers(0, 4, 60), strict=True)
    truths = [(int(a), int(n), f"v{video}", str(random.choice(EMOTIONS))) for a, n, video in places]
    jittered = [(a, n + int(random.integers(0, 9)), *rest) for a, n, *rest in truths * 3]
    predictions = [(row, float(round(random.random(), 1))) for row in jittered]
    random.shuffle(predictions)
    matched = match(detection_table(predictions), table(truths), THRESHOLDS, by_emotion)
    assert (matched >= 0).sum() > 100
    for t, threshold in enumerate(THRESHOLDS):
        assert matched[t].tolist() == brute_force(predictions, truths, threshold, by_emotion)


def test_nothing_to_match():
    events, detections = table([(0, 9, "a", "")]), detection_table([((0, 9, "a", ""), 0.9)])
    assert match(detections[:0], events, [0.5, 0.7]).shape == (2, 0)
    assert match(detections, events[:0], [0.5, 0.7]).tolist() == [[UNMATCHED], [UNMATCHED]]
    assert match(detections, events, 0.5, by_emotion=True).tolist() == [[UNMATCHED]]  # an empty emotion never matches


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(prediction, min_size=1, max_size=12), st.lists(interval, max_size=6))
def test_dropping_the_least_confident_changes_no_other_match(predictions, truths):
    """What lets one pass serve every confidence threshold."""
    detections, events = detection_table(predictions), table(truths)
    confident = (detections.confidence > 0.2).to_numpy()
    np.testing.assert_array_equal(
        match(detections[confident], events, THRESHOLDS), match(detections, events, THRESHOLDS)[:, confident]
    )


def test_takes_the_free_ground_truth_it_overlaps_most():
    events = table([(10, 9, "a", ""), (12, 9, "a", "")])  # [10, 19] and [12, 21]
    detections = detection_table([((12, 9, "a", ""), 0.9), ((12, 9, "a", ""), 0.8), ((12, 9, "a", ""), 0.7)])
    # the second one may only have the neighbour (8 common frames of 12), the third nothing
    assert match(detections, events, [0.5, 0.7]).tolist() == [[1, 0, UNMATCHED], [1, UNMATCHED, UNMATCHED]]


def test_iou_equal_to_the_threshold_is_enough():
    events = table([(0, 9, "a", "")])
    exact = detection_table([((0, 4, "a", ""), 0.9)])  # 5 of 10 frames
    assert match(exact, events, [0.5, 0.51]).tolist() == [[0], [UNMATCHED]]


def test_index_of_the_tables_does_not_matter():
    events = table([(0, 9, "a", ""), (50, 9, "a", "")]).set_index(pd.Index([7, 7]))
    detections = detection_table([((50, 9, "a", ""), 0.9)]).set_index(pd.Index([3]))
    assert match(detections, events, [0.5]).tolist() == [[1]]
