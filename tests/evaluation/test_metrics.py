"""F1s, STRS and counts: published arithmetic, hand-made cases, brute force, and everything that may be empty."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from fedn_pipeline.evaluation.metrics import METRICS, evaluate
from fedn_pipeline.files import InputError
from fedn_pipeline.matching import match

VIDEOS = pd.DataFrame({"video_id": ["v1", "v2", "v3"], "subject": ["01", "02", "02"]})


def events(*rows):
    return pd.DataFrame(rows, columns=["video_id", "onset", "offset", "emotion"]).astype({"emotion": object})


def detections(*rows):
    table = pd.DataFrame(rows, columns=["video_id", "onset", "offset", "confidence", "emotion", "kept"])
    return table.astype({"emotion": object})


def made_to_measure(n_predictions, n_ground_truth, tp, correct):
    """Tables with exactly these counts: ten-frame expressions in a row, wrong names and misses at their end."""
    truth = events(*[("v1", 20 * i, 20 * i + 9, "happiness" if i % 2 else "anger") for i in range(n_ground_truth)])
    hit = truth.iloc[:tp].copy()
    hit.loc[hit.index >= correct, "emotion"] = "disgust"
    onset = 20 * np.arange(n_ground_truth, n_ground_truth + n_predictions - tp)
    miss = pd.DataFrame({"video_id": "v2", "onset": onset, "offset": onset + 9, "emotion": "anger"})
    return truth, pd.concat([hit, miss], ignore_index=True).assign(confidence=0.9, kept=True)


@pytest.mark.parametrize(
    ("tp", "n_predictions", "correct", "spotting", "recognition"),
    [
        (119, 195, 84, 48.1, 70.6),  # confidence branch
        (115, 195, 85, 46.5, 73.9),  # coupled head
        (118, 188, 89, 48.3, 75.4),  # IoU loss
        (114, 177, 88, 47.9, 77.1),  # GIoU loss
        (129, 205, 97, 51.1, 75.2),  # FEDN
    ],
)
def test_published_arithmetic(tp, n_predictions, correct, spotting, recognition):
    """The paper's Table 4 (CAS(ME)^2, annotated, 300 expressions), whose "FP" is the number of predictions."""
    scores = evaluate(VIDEOS, *made_to_measure(n_predictions, 300, tp, correct))
    assert (scores["tp"], scores["n_predictions"], scores["n_ground_truth"]) == (tp, n_predictions, 300)
    # 48.36 is printed 48.3, 47.80 is printed 47.9: as printed, within 0.1 point
    assert round(100 * scores["spotting_f1"], 1) == pytest.approx(spotting, abs=0.1 + 1e-9)
    assert round(100 * scores["recognition_f1_micro"], 1) == pytest.approx(recognition, abs=0.1 + 1e-9)


def test_published_headline_to_the_printed_digit():
    scores = evaluate(VIDEOS, *made_to_measure(205, 300, 129, 97))
    assert round(100 * scores["spotting_f1"], 1) == 51.1 and round(100 * scores["recognition_f1_micro"], 1) == 75.2
    assert round(100 * evaluate(VIDEOS, *made_to_measure(200, 300, 122, 91))["recognition_f1_micro"], 1) == 74.6


def test_false_positives_count_in_videos_without_ground_truth():
    truth = events(("v1", 0, 9, "anger"))
    found = detections(("v1", 0, 9, 0.9, "anger", True), ("v3", 0, 9, 0.8, "anger", True))
    assert evaluate(VIDEOS, truth, found)["spotting_f1"] == pytest.approx(2 / 3)


def test_ground_truth_without_any_detection_is_missed():
    truth = events(("v1", 0, 9, "anger"), ("v3", 0, 9, "anger"))
    scores = evaluate(VIDEOS, truth, detections(("v1", 0, 9, 0.9, "anger", True)))
    assert scores["n_ground_truth"] == 2 and scores["spotting_f1"] == pytest.approx(2 / 3)
    assert scores["spotting_map"] == scores["detection_map"] == pytest.approx(51 / 101)
    assert scores["spotting_map_all_point"] == pytest.approx(1 / 2)


def test_one_prediction_satisfies_one_ground_truth_only():
    truth = events(("v1", 0, 9, "anger"), ("v1", 0, 9, "anger"))
    assert evaluate(VIDEOS, truth, detections(("v1", 0, 9, 0.9, "anger", True)))["tp"] == 1


def test_f1_uses_kept_rows_and_map_all_rows():
    truth = events(("v1", 0, 9, "anger"), ("v1", 50, 59, "anger"))
    found = detections(("v1", 0, 9, 0.9, "anger", True), ("v1", 50, 59, 0.4, "anger", False))
    scores = evaluate(VIDEOS, truth, found)
    assert (scores["tp"], scores["n_predictions"], scores["spotting_map"]) == (1, 1, pytest.approx(1.0))
    lower = evaluate(VIDEOS, truth, found, threshold=0.4)  # equal confidence is kept
    assert (lower["tp"], lower["n_predictions"]) == (2, 2)
    assert evaluate(VIDEOS, truth, found.drop(columns="kept"), threshold=0.4) == lower


def test_kept_of_each_row_and_not_one_threshold():
    """Folds have thresholds of their own: a kept row may be less confident than a dropped one."""
    truth = events(("v1", 0, 9, "anger"))
    found = detections(("v1", 0, 9, 0.9, "anger", False), ("v1", 0, 8, 0.4, "anger", True))
    assert evaluate(VIDEOS, truth, found)["tp"] == 1


def test_recognition_and_strs_by_hand():
    """Three spotted of four; anger 1 of 2 right, happiness 1 of 1 right, surprise never spotted."""
    truth = events(("v1", 0, 9, "anger"), ("v1", 50, 59, "anger"), ("v2", 0, 9, "happiness"), ("v3", 0, 9, "surprise"))
    found = detections(
        ("v1", 0, 9, 0.9, "anger", True),
        ("v1", 50, 59, 0.8, "happiness", True),
        ("v2", 0, 9, 0.7, "happiness", True),
        ("v3", 50, 59, 0.6, "disgust", True),
    )
    scores = evaluate(VIDEOS, truth, found)
    assert scores["spotting_f1"] == pytest.approx(2 * 3 / (4 + 4))
    assert scores["recognition_f1_micro"] == pytest.approx(2 / 3)
    # F1 of anger 2/3 (precision 1, recall 1/2), of happiness 2/3 (precision 1/2, recall 1), of surprise 0
    assert scores["recognition_f1_macro"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    precision, recall = (1 + 1 / 2 + 0) / 3, (1 / 2 + 1 + 0) / 3
    assert scores["strs"] == pytest.approx(3 / 4 * 2 * precision * recall / (precision + recall))


def random_tables(seed):
    random = np.random.default_rng(seed)

    def table(n):
        onset = random.integers(0, 60, n)
        columns = {"video_id": random.choice(["v1", "v2", "v3"], n), "onset": onset, "offset": onset + 9}
        return pd.DataFrame(columns | {"emotion": random.choice(["anger", "disgust", "happiness"], n)})

    found = table(random.integers(1, 20))
    return table(random.integers(1, 10)), found.assign(confidence=random.random(len(found)))


@pytest.mark.parametrize("seed", range(100))
def test_recognition_equals_scikit_learn(seed):
    truth, found = random_tables(seed)
    scores = evaluate(VIDEOS, truth, found, threshold=0.3)
    kept = found[found["confidence"] >= 0.3]
    matched = match(kept, truth, [0.5])[0]
    predicted, true = kept["emotion"].to_numpy()[matched >= 0], truth["emotion"].to_numpy()[matched[matched >= 0]]
    if not len(true):
        assert scores["recognition_f1_micro"] is scores["recognition_f1_macro"] is scores["strs"] is None
        return
    labels = sorted(set(truth["emotion"]))
    precision, recall, f1, _ = precision_recall_fscore_support(true, predicted, labels=labels, zero_division=0)
    assert scores["recognition_f1_micro"] == pytest.approx(f1_score(true, predicted, average="micro"))
    assert scores["recognition_f1_macro"] == pytest.approx(f1.mean())
    p, r = precision.mean(), recall.mean()
    assert scores["strs"] == pytest.approx(scores["spotting_f1"] * (2 * p * r / (p + r) if p + r else 0))


def test_a_method_without_emotions():
    truth = events(("v1", 0, 9, "anger"))
    scores = evaluate(VIDEOS, truth, detections(("v1", 0, 9, 0.9, "", True)))
    assert scores["spotting_f1"] == 1.0 and scores["spotting_map"] == pytest.approx(1.0)
    undefined = {name for name in METRICS if scores[name] is None}
    assert undefined == set(METRICS) - {"spotting_f1", "spotting_map", "spotting_map_all_point"}


def test_a_data_set_without_emotions():
    scores = evaluate(VIDEOS, events(("v1", 0, 9, "")), detections(("v1", 0, 9, 0.9, "anger", True)))
    assert scores["spotting_f1"] == 1.0
    assert scores["recognition_f1_micro"] is scores["detection_map"] is scores["strs"] is None


def test_no_detections():
    scores = evaluate(VIDEOS, events(("v1", 0, 9, "anger")), detections())
    assert (scores["tp"], scores["n_predictions"], scores["n_ground_truth"]) == (0, 0, 1)
    assert scores["spotting_f1"] == scores["spotting_map"] == scores["detection_map"] == 0.0
    assert scores["recognition_f1_micro"] is scores["recognition_f1_macro"] is scores["strs"] is None


def test_no_ground_truth():
    scores = evaluate(VIDEOS, events(), detections(("v1", 0, 9, 0.9, "anger", True)))
    assert scores["spotting_f1"] == 0.0 and scores["n_predictions"] == 1
    assert all(scores[name] is None for name in METRICS if name != "spotting_f1")


def test_nothing_at_all():
    scores = evaluate(VIDEOS, events(), detections())
    assert all(scores[name] is None for name in METRICS)
    assert list(scores)[:9] == [
        "tp", "n_predictions", "n_ground_truth", "spotting_f1", "recognition_f1_micro", "recognition_f1_macro",
        "spotting_map", "detection_map", "strs",
    ]  # fmt: skip


def test_bad_input_is_refused():
    truth, found = events(("v1", 0, 9, "anger")), detections(("v1", 0, 9, 0.9, "anger", True))
    with pytest.raises(InputError, match="no column `kept`"):
        evaluate(VIDEOS, truth, found.drop(columns="kept"))
    with pytest.raises(InputError, match="other values than True and False"):
        evaluate(VIDEOS, truth, found.assign(kept="False"))
    with pytest.raises(InputError, match="detections: unknown video 'v9'"):
        evaluate(VIDEOS, truth, found.assign(video_id="v9"))
    with pytest.raises(InputError, match="events: unknown video 'v9'"):
        evaluate(VIDEOS, truth.assign(video_id="v9"), found)
