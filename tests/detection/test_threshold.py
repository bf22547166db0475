"""The chosen threshold against an evaluation at every possible one."""

import numpy as np
import pandas as pd
import pytest

from fedn_pipeline.detection.threshold import choose_threshold
from fedn_pipeline.evaluation.metrics import default_settings, evaluate

SETTINGS = default_settings()
VIDEOS = pd.DataFrame({"video_id": ["a", "b", "c"], "subject": ["1", "1", "2"]})


def table(*rows):
    """Rows `video_id, onset, offset, confidence`; ground truth ignores the last."""
    frame = pd.DataFrame(rows, columns=["video_id", "onset", "offset", "confidence"])
    types = {"video_id": str, "onset": np.int64, "offset": np.int64, "confidence": float}
    return frame.astype(types).assign(emotion="")


def random_case(seed):
    random = np.random.default_rng(seed)

    def rows(n):
        onset = random.integers(0, 80, n)
        length, confidence = random.integers(5, 20, n), random.random(n)
        confidence = confidence.round(1) if seed % 2 else confidence
        return table(*zip(random.choice(list("abc"), n), onset, onset + length, confidence, strict=True))

    return rows(random.integers(1, 40)), rows(random.integers(0, 12))


@pytest.mark.parametrize("seed", range(60))
def test_no_threshold_is_better(seed):
    detections, events = random_case(seed)
    chosen = choose_threshold(detections, events, VIDEOS, 0.5)
    thresholds = set(detections["confidence"])
    f1 = {t: evaluate(VIDEOS, events, detections, t, SETTINGS)["spotting_f1"] for t in thresholds}
    assert chosen["spotting_f1"] == pytest.approx(max(f1.values()), abs=1e-12)
    # of the equally good ones it keeps the fewest
    highest = max(t for t, value in f1.items() if value == pytest.approx(max(f1.values()), abs=1e-12))
    assert chosen["n_predictions"] == (detections["confidence"] >= highest).sum()
    # and the value gives what the record says
    again = evaluate(VIDEOS, events, detections, chosen["threshold"], SETTINGS)
    for name in ("tp", "n_predictions", "n_ground_truth", "spotting_f1"):
        assert again[name] == pytest.approx(chosen[name], abs=1e-12)


def test_midway_to_the_next_prediction():
    events = table(("a", 0, 9, 0))
    detections = table(("a", 0, 9, 0.8), ("a", 50, 59, 0.4))
    chosen = choose_threshold(detections, events, VIDEOS, 0.5)
    assert chosen["threshold"] == pytest.approx(0.6)
    assert (chosen["spotting_f1"], chosen["tp"], chosen["n_predictions"]) == (1.0, 1, 1)


def test_neighbouring_floats():
    """Their mean rounds to one of them: the lower one must still be dropped."""
    for lower in (0.4, np.nextafter(0.4, 1)):
        detections = table(("a", 0, 9, np.nextafter(lower, 1)), ("a", 50, 59, lower))
        chosen = choose_threshold(detections, table(("a", 0, 9, 0)), VIDEOS, 0.5)
        assert (detections["confidence"] >= chosen["threshold"]).tolist() == [True, False]


def test_all_kept_is_the_lowest_confidence():
    detections = table(("a", 0, 9, 0.8), ("a", 50, 59, 0.4))
    assert choose_threshold(detections, detections, VIDEOS, 0.5)["threshold"] == 0.4


def test_only_the_given_videos_count():
    """The held-out videos say 0.8, the test video, were it looked at, would say 0.4."""
    events = table(("a", 0, 9, 0), ("c", 0, 9, 0), ("c", 50, 59, 0))
    found = [("a", 0, 9, 0.8), ("a", 50, 59, 0.5), ("c", 0, 9, 0.4), ("c", 50, 59, 0.4)]
    chosen = choose_threshold(table(*found), events, VIDEOS[:2], 0.5)
    assert (chosen["threshold"], chosen["n_ground_truth"], chosen["n_predictions"]) == (0.65, 1, 1)


def test_false_positives_in_videos_without_ground_truth_count():
    events = table(("a", 0, 9, 0), ("a", 50, 59, 0))
    detections = table(("a", 0, 9, 0.9), *[("b", 20 * i, 20 * i + 9, 0.6) for i in range(9)], ("a", 50, 59, 0.5))
    assert choose_threshold(detections, events, VIDEOS, 0.5)["n_predictions"] == 1
    assert choose_threshold(detections, events, VIDEOS[:1], 0.5)["n_predictions"] == 2


def test_nothing_right_keeps_the_most_confident_only():
    detections = table(("a", 50, 59, 0.8), ("b", 50, 59, 0.4))
    for events in (table(("a", 0, 9, 0)), table()):
        chosen = choose_threshold(detections, events, VIDEOS, 0.5)
        assert (chosen["threshold"], chosen["spotting_f1"], chosen["n_predictions"]) == (pytest.approx(0.6), 0.0, 1)


def test_no_predictions_give_the_fallback():
    chosen = choose_threshold(table(), table(("a", 0, 9, 0)), VIDEOS, 0.5, fallback=0.3)
    assert (chosen["threshold"], chosen["spotting_f1"], chosen["n_ground_truth"]) == (0.3, 0.0, 1)
    assert choose_threshold(table(), table(), VIDEOS, 0.5)["spotting_f1"] is None
