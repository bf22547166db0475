"""From overlapping windows' raw predictions to detections on the source's axis."""

import numpy as np
import pytest

from fedn_pipeline import config
from fedn_pipeline.detection import candidates
from fedn_pipeline.files import InputError
from fedn_pipeline.model import outputs
from fedn_pipeline.training import predictions

SETTINGS = config.validate({})["detections"]
CLASSES = ["anger", "happiness"]


def raw(starts, spans, logits, n_frames=300, fps=30.0, valid=None):
    """One prediction per window unless given more."""
    n_steps = round(n_frames * 30 / fps)
    return predictions.RawPredictions(
        np.array(starts),
        np.array(spans, dtype=np.float32).reshape(len(starts), -1, 2),
        np.array(logits, dtype=np.float32).reshape(len(starts), -1, 2),
        np.ones(n_steps, dtype=bool) if valid is None else valid,
        fps,
        n_frames,
    )


def test_window_start_label_and_confidence():
    table = candidates.of_video("v", raw([0, 100], [[10, 20], [5, 30]], [[-1, 2], [3, 0]]), CLASSES, SETTINGS)
    assert table[["onset", "offset", "emotion"]].to_numpy().tolist() == [[105, 129, "anger"], [10, 19, "happiness"]]
    assert table.confidence.tolist() == pytest.approx([1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-2))])


def test_confidence_branch_decides_confidence_and_never_the_emotion():
    """Names end with the reserved `objectness`: its probability is the confidence, the classes' best the emotion."""
    names = outputs.names(CLASSES, {"confidence_branch": True})
    assert names == [*CLASSES, "objectness"] and outputs.names(CLASSES, {"confidence_branch": False}) == CLASSES
    video = raw([0, 100], [[10, 20], [5, 30]], np.zeros((2, 2)))
    video.logits = np.array([[[-5, -4, 2]], [[9, 3, 1]]], dtype=np.float32)
    table = candidates.of_video("v", video, names, SETTINGS)
    assert table[["onset", "emotion"]].to_numpy().tolist() == [[10, "happiness"], [105, "anger"]]
    assert table.confidence.tolist() == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))])
    with pytest.raises(InputError, match="emotion `objectness`: this name is reserved"):
        outputs.names(["objectness"], {"confidence_branch": False})


def test_same_event_seen_by_two_windows_is_reported_once():
    table = candidates.of_video("v", raw([0, 16], [[40, 60], [25, 45]], [[2, 0], [1, 0]]), CLASSES, SETTINGS)
    assert len(table) == 1 and table.onset[0] == 40


def test_floor_clip_and_empty():
    spans = [[-20, 30], [290, 400], [310, 350], [50, 60]]
    table = candidates.of_video("v", raw([0] * 4, spans, [[3, 0], [2, 0], [5, 0], [-9, -9]]), CLASSES, SETTINGS)
    assert table[["onset", "offset"]].to_numpy().tolist() == [
        [0, 29],
        [290, 299],
    ]
    nothing = candidates.of_video("v", raw([0], [[5, 9]], [[-9, -9]]), CLASSES, SETTINGS)
    assert len(nothing) == 0 and list(nothing) == candidates.COLUMNS


def test_other_frame_rate_comes_back_on_the_source_axis():
    table = candidates.of_video("v", raw([60], [[0, 30]], [[2, 0]], n_frames=150, fps=15.0), CLASSES, SETTINGS)
    assert (table.onset[0], table.offset[0]) == (30, 44)


def test_interval_mostly_without_a_face_is_not_proposed():
    valid = np.ones(300, dtype=bool)
    valid[100:120] = False
    spans = [[100, 139], [100, 141]]  # 20 of 39 and 20 of 41 frames without a face
    for span, wanted in zip(spans, (0, 1), strict=True):
        table = candidates.of_video("v", raw([0], [span], [[2, 0]], valid=valid), CLASSES, SETTINGS)
        assert len(table) == wanted


def test_raw_predictions_round_trip_and_damage(tmp_path):
    path = tmp_path / "predictions.h5"
    predictions.write(path, {"test": {"v": raw([0], [[1, 2]], [[3, 4]])}, "held_out": {}}, CLASSES)
    roles, classes = predictions.read(path)
    assert classes == CLASSES and roles["test"]["v"].intervals.tolist() == [[[1, 2]]] and roles["test"]["v"].fps == 30
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"predictions\.h5: damaged"):
        predictions.read(path)
