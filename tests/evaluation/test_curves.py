"""Curves of the report: AP's mean is the table's mAP, recall is counted in the right bin, confusions as matched."""

import numpy as np
import pandas as pd
import pytest
from scores import summarise

from fedn_pipeline.evaluation import curves
from fedn_pipeline.evaluation.metrics import default_settings

SETTINGS = default_settings() | {"bootstrap_draws": 50}
VIDEOS = pd.DataFrame({"video_id": ["a", "b", "c"], "subject": ["p", "q", "q"], "fps": [30.0, 30.0, 60.0]})
EVENTS = pd.DataFrame({
    "video_id": ["a", "a", "b", "c"], "onset": [0, 100, 30, 0], "offset": [14, 159, 119, 59],
    "emotion": ["anger", "disgust", "anger", "disgust"],
})  # fmt: skip
COLUMNS = ["video_id", "onset", "offset", "confidence", "emotion", "kept"]
FOUND = pd.DataFrame([
    ("a", 0, 14, 0.9, "anger", True), ("a", 100, 150, 0.8, "anger", True), ("b", 40, 119, 0.3, "anger", False),
    ("c", 5, 62, 0.7, "disgust", True), ("b", 200, 220, 0.6, "fear", True),
], columns=COLUMNS)  # fmt: skip


def test_mean_ap_is_the_map_of_the_table():
    runs = [FOUND, FOUND.assign(confidence=FOUND.confidence[::-1].to_numpy())]
    table, metrics = curves.ap_curves(VIDEOS, EVENTS, runs, SETTINGS), summarise(VIDEOS, EVENTS, runs, SETTINGS)
    for kind in ("spotting", "detection"):
        mine = table[table.kind == kind]
        assert mine.iou.tolist() == SETTINGS["map_ious"]
        assert mine.value.mean() == pytest.approx(metrics[f"{kind}_map"].value)
        assert (mine.low <= mine.value).all() and (mine.value <= mine.high).all() and (mine.low < mine.high).any()


def test_a_method_without_emotions_has_no_detection_curve_and_no_confusion():
    silent = [FOUND.assign(emotion="")]
    assert set(curves.ap_curves(VIDEOS, EVENTS, silent, SETTINGS).kind) == {"spotting"}
    assert curves.confusion(VIDEOS, EVENTS, silent, SETTINGS) is None


def test_recall_counts_each_duration_in_its_bin():
    table = curves.recall_by_duration(VIDEOS, EVENTS, [FOUND], SETTINGS).set_index("duration_s")
    assert list(table.index) == ["< 0.5", "0.5–1", "1–2", "2–4", "4–8", "≥ 8"]
    # 0.5, 2 and 3 s at 30 fps, 1 s at 60 fps: one on an edge belongs to the longer bin; 3 s is found, but not kept
    assert table.n_ground_truth.tolist() == [0, 1, 1, 2, 0, 0]
    assert table.value.astype(float).tolist() == pytest.approx([np.nan, 1, 1, 0.5, np.nan, np.nan], nan_ok=True)
    assert curves.duration_bins([]) == ["all"]


def test_confusion_is_the_mean_over_runs():
    table = curves.confusion(VIDEOS, EVENTS, [FOUND, FOUND[:1]], SETTINGS)
    assert table.index.tolist() == ["anger", "disgust"] and table.columns.tolist() == ["anger", "disgust", "other"]
    assert table.to_numpy().tolist() == [[1, 0, 0], [0.5, 0.5, 0]]
