"""Timelines: right and wrong detections told apart, all label sets drawn, the confidence curve is the highest."""

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from fedn_pipeline.report import timeline
from fedn_pipeline.training import predictions

VIDEO = next(pd.DataFrame([{"video_id": "v", "n_frames": 90, "fps": 30.0}]).itertuples())
EVENTS = pd.DataFrame({
    "video_id": "v", "onset": [5, 40], "apex": pd.array([10, pd.NA], dtype="Int64"), "offset": [20, 55],
    "emotion": ["anger", "disgust"],
})  # fmt: skip
DETECTIONS = pd.DataFrame({
    "video_id": "v", "onset": [5, 70], "offset": [20, 80], "confidence": [0.9, 0.8], "emotion": "anger",
    "correct": [True, False],
})  # fmt: skip


def test_timeline_tells_right_from_wrong_and_shades_gaps():
    face = np.ones(90, dtype=bool)
    face[60:75] = False
    crops = {frame: np.zeros((224, 224, 3), np.uint8) for frame in (10, 47)}
    truths = {"annotated": EVENTS, "self_reported": EVENTS[:1]}
    scene = timeline.Scene(VIDEO, truths, DETECTIONS, np.linspace(0, 1, 90), 0.5, face, crops)
    figure = timeline.draw(scene, row_s=30, iou=0.5)
    axis = figure.axes[0]
    bars = {round(bar.get_x() * 30): bar for bar in axis.patches}
    colours = [matplotlib.colors.to_hex(bar.get_facecolor()) for bar in axis.patches]
    expected = (timeline.CORRECT, timeline.WRONG, timeline.TRUTH, timeline.OTHER, timeline.NO_FACE)
    assert [colours.count(colour) for colour in expected] == [1, 1, 2, 1, 1]
    assert bars[60].get_width() * 30 == pytest.approx(15)  # the gap
    assert bars[70].get_hatch() == "///"
    assert [label.get_text() for label in axis.get_yticklabels()][2:] == ["self_reported", "annotated"]
    assert len(axis.artists) == 2  # an apex crop over each expression
    assert "1 of 2 expressions found, 1 false" in figure.get_suptitle()
    texts = [text.get_text() for text in axis.texts]
    assert texts[-2:] == ["anger", "anger"]  # half a second is too narrow for the confidence below it
    wide = timeline.draw(scene, row_s=3, iou=0.5).axes[0]
    assert [text.get_text() for text in wide.texts][-2:] == ["anger\n0.90", "anger\n0.80"]
    plt.close("all")


def test_highest_confidence_wins_wherever_intervals_overlap():
    spans = np.array([[0, 6], [2, 4], [3, 20], [-5, 1]], dtype=float)
    curve = timeline.highest(spans, np.array([0.5, 0.9, 0.2, 0.6]), 8)
    assert curve.tolist() == [0.6, 0.5, 0.9, 0.9, 0.5, 0.5, 0.2, 0.2]


def test_curve_comes_from_raw_predictions_or_else_from_detections(tmp_path):
    video = next(pd.DataFrame([{"video_id": "v", "n_frames": 20, "fps": 60.0}]).itertuples())
    low = pd.DataFrame({"onset": [4], "offset": [7], "confidence": [0.25]})
    assert np.flatnonzero(timeline.confidence_curve(tmp_path, video, low)).tolist() == [4, 5, 6, 7]
    raw = predictions.RawPredictions(
        starts=np.array([3]), intervals=np.array([[[1, 3]]], dtype=np.float32),
        logits=np.zeros((1, 1, 2), dtype=np.float32), valid=np.ones(10, dtype=bool), fps=60.0, n_frames=20,
    )  # fmt: skip
    predictions.write(tmp_path / "predictions.h5", {"test": {"v": raw}}, ["anger", "disgust"])
    curve = timeline.confidence_curve(tmp_path, video, low)
    assert np.flatnonzero(curve).tolist() == [8, 9, 10, 11] and curve.max() == 0.5  # steps 4 to 6 at 60 fps
