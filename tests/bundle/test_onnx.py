"""The ONNX file computes what PyTorch does, for any number of windows, and says what its user has to know."""

import json

import numpy as np
import pytest
import torch
from bundle import planted_results

from fedn_pipeline import cli
from fedn_pipeline.bundle import load, onnx_export
from fedn_pipeline.model import geometry

onnxruntime = pytest.importorskip("onnxruntime", reason="extra `onnx`")
pytest.importorskip("onnx", reason="extra `onnx`")


def test_it_computes_the_same_and_describes_itself(small, tmp_path, capsys):
    path = tmp_path / "detector.onnx"
    assert cli.main(["onnx", str(small), "--out", str(path)]) == 0
    assert (
        "features [B, 134, 96] -> raw_intervals, logits, intervals; largest difference from PyTorch"
        in capsys.readouterr().out
    )
    assert [other.name for other in tmp_path.iterdir()] == ["detector.onnx"]

    bundle = load.load(small)
    session = onnxruntime.InferenceSession(path)
    features = planted_results.windows(bundle.settings, 5)
    raw, logits, intervals = session.run(None, {"features": features.numpy()})
    wanted = bundle.network(features)
    np.testing.assert_allclose(raw, wanted[0].numpy(), rtol=0, atol=1e-4)
    np.testing.assert_allclose(logits, wanted[1].numpy(), rtol=0, atol=1e-4)
    grid = geometry.build(bundle.settings["windows"], bundle.settings["model"])
    np.testing.assert_allclose(intervals, geometry.decode(wanted[0], grid).numpy(), rtol=0, atol=1e-2)  # frames
    assert [output.shape for output in session.get_outputs()] == [["windows", 180, 2]] * 3

    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["classes"]) == ["anger", "happiness"] and json.loads(said["threshold"]) == 0.3
    numbers = [json.loads(said[name]) for name in ("fps", "rows_read", "window_frames", "window_stride")]
    assert numbers == [30, 134, 128, 16]
    assert said["licence"] == bundle.description["licence"]


def test_a_network_that_computes_something_else_is_not_written(small, tmp_path, monkeypatch, capsys):
    model = onnx_export._model

    def exported_too_early(module, *rest):
        data = model(module, *rest)
        with torch.no_grad():
            module.network.blocks[0][0].weight.add_(0.1)
        return data

    monkeypatch.setattr(onnx_export, "_model", exported_too_early)
    assert cli.main(["onnx", str(small), "--out", str(tmp_path / "detector.onnx")]) == 2
    assert "differs from PyTorch by" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_without_the_extra_it_says_how_to_install_it(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx_export.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["onnx", str(small), "--out", str(tmp_path / "detector.onnx")]) == 2
    printed = capsys.readouterr().err
    assert "onnx and onnxruntime not installed" in printed and "requirements-onnx.txt" in printed
