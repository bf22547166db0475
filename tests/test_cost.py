"""What a fold measures of itself: FLOP of known networks, frames on the 30 fps axis, nothing where nothing is known."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from fedn_pipeline import cost
from fedn_pipeline.files import read_json

VIDEOS = pd.DataFrame({"video_id": ["a", "b"], "n_frames": [300, 50], "fps": [30.0, 15.0]})


def test_flop_of_a_known_network_per_minute_and_frames_of_the_common_axis(tmp_path):
    network, seen = nn.Sequential(nn.Conv1d(8, 4, 3), nn.Flatten(), nn.Linear(4 * 10, 5)).eval(), []

    def predict(part):
        seen.append(list(part.video_id))
        with torch.no_grad():
            return [network(torch.zeros(n // 10, 8, 12)) for n in part.n_frames]

    path = tmp_path / "fold/cost.json"
    caches = [Path("data/x/flow/gap8.h5"), Path("data/x/flow/gap24.h5")]
    found = cost.measured(path, predict, VIDEOS, 305, caches, torch.device("cpu"), 2)
    assert [len(part) for part in found] == [30, 5] and seen == [["a"], ["a", "b"]]
    record = read_json(path)
    of_window = 2 * (8 * 3 * 4 * 10) + 2 * (4 * 10 * 5)
    assert record["gflop_per_minute"] == pytest.approx(30 * of_window * 6 / 1e9)  # 30 windows in ten seconds of `a`
    assert record["frames"] == 300 + 100 and record["frames_per_second"] == pytest.approx(400 / record["seconds"])
    assert record["parameters"] == 305 and record["inputs"] == ["flow/gap8", "flow/gap24"]
    assert record["device"] == "cpu" and record["threads"] == 2 and set(record) == set(cost.FIELDS)


def test_flop_are_of_a_video_that_shows_a_face(tmp_path):
    layer = nn.Linear(4, 5)

    def predict(part):
        return [layer(torch.zeros(10, 4)) for video in part.video_id if video == "b"]

    cost.measured(tmp_path / "cost.json", predict, VIDEOS, 25)
    assert read_json(tmp_path / "cost.json")["gflop_per_minute"] == pytest.approx(2 * 10 * 20 / 1e9 / (100 / 1800))
    cost.measured(tmp_path / "cost.json", predict, VIDEOS[:1], 25)
    assert read_json(tmp_path / "cost.json")["gflop_per_minute"] is None


def test_without_a_network_nothing_is_counted_and_nothing_runs_twice(tmp_path):
    calls = []
    assert cost.measured(tmp_path / "cost.json", lambda part: calls.append(len(part)) or 7, VIDEOS) == 7
    record = read_json(tmp_path / "cost.json")
    assert calls == [2] and record["gflop_per_minute"] == record["parameters"] == 0 and record["seconds"] > 0


def test_what_was_not_predicted_has_no_cost(tmp_path):
    cost.unknown(tmp_path / "cost.json")
    assert read_json(tmp_path / "cost.json") == dict.fromkeys(cost.FIELDS)


@torch.no_grad()
def test_attention_counts_alike_in_training_and_in_evaluation():
    """Evaluated, torch has one operation for all of it, which its counter does not know."""
    layer, x = nn.MultiheadAttention(16, 4, batch_first=True), torch.zeros(2, 10, 16)
    trained, evaluated = (cost.flop(lambda m=m: m(x, x, x, need_weights=False)) for m in (layer, layer.eval()))
    assert evaluated == trained == 2 * 2 * (4 * 10 * 16 * 16 + 2 * 10 * 10 * 16)
    assert torch.backends.mha.get_fastpath_enabled()
