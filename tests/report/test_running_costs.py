"""From what folds measured, and Snakemake's benchmark files, to what a minute of video takes from crops on."""

import json

import numpy as np
import pandas as pd
import pytest

from fedn_pipeline import config, cost
from fedn_pipeline.model import flops
from fedn_pipeline.report import methods, running_costs

SETTINGS = config.validate({"backbone": {"input_size": 112}})
VIDEOS = pd.DataFrame({"video_id": ["a", "b"], "n_frames": [600, 300], "fps": [30.0, 15.0]})  # 1200 steps


def fold(folder, name, seconds, inputs, **further):
    path = folder / f"seed0/folds/{name}"
    path.mkdir(parents=True)
    record = {"frames": 600, "seconds": seconds, "gflop_per_minute": 50.0, "parameters": 1000, "inputs": inputs}
    record |= {"device": "cpu", "threads": 2, **further}
    (path / cost.NAME).write_text(json.dumps(record))
    return path


def benchmark(path, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\n{seconds}\t0\n")


def test_a_network_on_features_with_its_backbone(tmp_path):
    first, second = (fold(tmp_path, name, 6.0, ["features/net"]) for name in "ab")
    for path in (first, second):
        (path / cost.DECODING).write_text(json.dumps({"seconds": 6.0}))
    for number in range(2):
        benchmark(tmp_path / f"benchmarks/features/net/part{number}.tsv", 15.0)
        benchmark(tmp_path / f"benchmarks/faces/v{number}.tsv", 45.0)
    found = running_costs.of_method(SETTINGS, tmp_path, VIDEOS, tmp_path / "benchmarks")
    assert found["frames_per_second"] == pytest.approx(600 / 12)
    assert found["frames_per_second_of_input"] == pytest.approx(1200 / 30)
    assert found["frames_per_second_from_crops"] == pytest.approx(1 / (12 / 600 + 30 / 1200))
    assert found["frames_per_second_of_faces"] == pytest.approx(1200 / 90)
    assert found["frames_per_second_from_video"] == pytest.approx(1 / (12 / 600 + 30 / 1200 + 90 / 1200))
    backbone = flops.count(SETTINGS)["backbone"] / 128 * 1800  # GFLOP of 128 frames -> of a minute
    assert found["gflop_per_minute_of_input"] == pytest.approx(backbone)
    assert found["gflop_per_minute_from_crops"] == pytest.approx(backbone + 50)
    assert found["parameters_from_crops"] == found["parameters_of_input"] + 1000 == 11_176_512 + 1000
    assert found["inputs"] == "features/net" and found["device"] == "cpu, 2 thread(s)"


def test_flow_has_time_but_no_network_and_folds_may_read_other_gaps(tmp_path):
    fold(tmp_path, "a", 6.0, ["flow/gap4", "flow/gap16"], gflop_per_minute=0.0, parameters=0)
    as_features = ["features/flow_gap8", "flow/gap16"]  # the same flow, as FEDN reads it
    fold(tmp_path, "b", 12.0, as_features, gflop_per_minute=0.0, parameters=0)
    for gap, seconds in ((4, 12), (8, 24), (16, 60)):
        benchmark(tmp_path / f"benchmarks/flow/gap{gap}/part0.tsv", seconds)
    found = running_costs.of_method(SETTINGS, tmp_path, VIDEOS, tmp_path / "benchmarks")
    assert found["parameters_from_crops"] == found["gflop_per_minute_from_crops"] == 0
    assert found["frames_per_second"] == pytest.approx(1200 / 18)
    assert found["frames_per_second_of_input"] == pytest.approx(1 / (((12 + 60) / 1200 + (24 + 60) / 1200) / 2))
    assert np.isnan(found["frames_per_second_from_video"])  # of faces nothing is known
    assert found["inputs"] == "flow/gap16 flow/gap4 flow/gap8"


def test_not_known_is_not_zero(tmp_path):
    """MediaPipe's network says nothing of its size; folds that predicted nothing do not count."""
    assert running_costs.of_method(SETTINGS, tmp_path, VIDEOS, None) == {}
    fold(tmp_path, "a", None, None, frames=None)
    assert running_costs.of_method(SETTINGS, tmp_path, VIDEOS, None) == {}
    fold(tmp_path, "b", 6.0, ["features/blendshapes"])
    found = running_costs.of_method(SETTINGS, tmp_path, VIDEOS, None)
    assert found["frames_per_second"] == pytest.approx(100) and found["gflop_per_minute"] == 50
    for name in running_costs.UNITS:
        assert np.isnan(found[f"{name}_from_crops"]), name


def test_i3d_reads_every_second_frame():
    found, clip = flops.of_input("features/i3d", SETTINGS), config.validate({"model": {"clip_features": True}})
    assert found["parameters"] == flops.count(clip)["parameters"]["backbone"]
    clip["backbone"]["input_size"] = 112
    assert found["gflop_per_minute"] == pytest.approx(flops.count(clip)["backbone"] / 64 * 900)


def method(name, running, **costs):
    return methods.Method(name, None, {}, {}, None, costs, running, {})


def test_the_table_has_every_measured_method(tmp_path):
    fold(tmp_path, "a", 6.0, ["features/net"], parameters=39_000)
    found = running_costs.of_method(SETTINGS, tmp_path, VIDEOS, None)
    made = running_costs.table([method("auwgcn", found, fold_s=12.4), method("fedn+cefl", {}, fold_s=3.0)])
    assert made.printed.to_dict("records") == [{
        "Method": "auwgcn", "Input": "features/net", "Measured on": "cpu, 2 thread(s)",
        "Parameters (M)": "0.039", "Parameters (M), input": "11.2", "GFLOP per minute": "50",
        "GFLOP per minute, input": f"{found['gflop_per_minute_of_input']:,.0f}", "Frames/s": "100",
        "Frames/s, input": "–", "Frames/s, faces": "–", "Frames/s from crops": "–", "Frames/s from video": "–",
        "Fold (s)": "12.4",
    }]  # fmt: skip
    assert made.numbers.gflop_per_minute_from_crops[0] == pytest.approx(50 + found["gflop_per_minute_of_input"])
    assert "optical flow is not counted" in made.note and running_costs.table([method("chance", {})]) is None
