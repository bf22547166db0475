"""Published protocols, each against a case counted by hand."""

import pandas as pd
import pytest

from fedn_pipeline.peers import habits

IOU = 0.5
EVENTS = pd.DataFrame([("a", 0, 9), ("a", 20, 29)], columns=["video_id", "onset", "offset"])
FOUND = [("a", 0, 9, 0.9), ("a", 1, 10, 0.8), ("b", 5, 14, 0.7), ("a", 20, 29, 0.3)]


def score(habit, found=FOUND, events=EVENTS):
    columns = ["video_id", "onset", "offset", habits.OWN_SCORE]
    table = pd.DataFrame(found, columns=columns).assign(confidence=0.5)  # only the own score counts
    return habits.f1(table, events, habit, IOU)


def test_swept_threshold_is_the_best_on_the_test_subjects():
    """By threshold: 1 of 1, 1 of 2, 1 of 3, 2 of 4 right, of 2 ground truths; of equals the fewest predictions."""
    assert score(habits.Habit("")) == pytest.approx((2 * 1 / (1 + 2), 0.9))
    better = [*FOUND[:3], ("a", 20, 29, 0.85)]
    assert score(habits.Habit(""), better) == pytest.approx((2 * 2 / (2 + 2), 0.85))


@pytest.mark.parametrize(
    ("threshold", "right", "n"), [(0.95, 0, 0), (0.9, 1, 1), (0.8, 1, 2), (0.5, 1, 3), (0.3, 2, 4)]
)
def test_fixed_threshold_keeps_what_reaches_it(threshold, right, n):
    assert score(habits.Habit("", threshold)) == pytest.approx((2 * right / (n + 2), threshold))


def test_videos_without_ground_truth_may_not_count():
    assert score(habits.Habit("", 0.3, annotated_only=True)) == pytest.approx((2 * 2 / (3 + 2), 0.3))
    assert score(habits.Habit("", 0.3, annotated_only=True), FOUND[2:3]) == (0.0, None)


def test_one_prediction_may_stand_for_several_ground_truths():
    """[0, 19] has IoU 0.5 with both [0, 9] and [10, 19]: one true positive when matched one to one, else two."""
    events = pd.DataFrame([("a", 0, 9), ("a", 10, 19)], columns=EVENTS.columns)
    found = [("a", 0, 19, 0.9), ("a", 40, 49, 0.6)]
    assert score(habits.Habit("", 0.5), found, events) == pytest.approx((2 * 1 / (2 + 2), 0.5))
    assert score(habits.Habit("", 0.5, many_to_one=True), found, events) == pytest.approx((2 * 2 / (2 + 2), 0.5))


def test_several_predictions_of_one_ground_truth_are_one_true_positive():
    """LGSNet asks of every ground truth whether it is found; the others are false."""
    many = [("a", 0, 9, 0.9), ("a", 0, 8, 0.8), ("a", 1, 9, 0.7)]
    assert score(habits.Habit("", 0.5, many_to_one=True), many) == pytest.approx((2 * 1 / (3 + 2), 0.5))
    late = [("a", 40, 49, 0.9), *many[1:]]  # found from 0.8 on
    assert score(habits.Habit("", 0.85, many_to_one=True), late)[0] == 0
    assert score(habits.Habit("", many_to_one=True), late) == pytest.approx((2 * 1 / (2 + 2), 0.8))


def test_every_prediction_that_hits_may_count():
    """AUW-GCN's code asks of every prediction whether it hits: two of one ground truth are two true positives."""
    many = [("a", 0, 9, 0.9), ("a", 0, 8, 0.8), ("a", 1, 9, 0.7), ("b", 0, 9, 0.6), ("c", 0, 9, 0.6)]
    events = pd.DataFrame([("a", 0, 9), ("d", 0, 9)], columns=EVENTS.columns)
    assert score(habits.Habit("", 0.5, every_hit=True), many, events) == pytest.approx((2 * 3 / (5 + 2), 0.5))
    assert score(habits.Habit("", 0.75, every_hit=True), many[:3], events[:1])[0] == pytest.approx(2 * 2 / (2 + 1))
    assert score(habits.Habit("", 0.5), many, events)[0] == pytest.approx(2 * 1 / (5 + 2))


def test_without_predictions_or_ground_truth():
    assert score(habits.Habit(""), []) == (0.0, None)
    assert score(habits.Habit(""), [], EVENTS[:0]) == (None, None)
    assert score(habits.Habit(""), FOUND, EVENTS[:0])[0] == 0
    assert score(habits.Habit("", many_to_one=True), FOUND[2:3])[0] == 0
