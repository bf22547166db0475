"""The code of the training benchmarks runs, on the CPU and in a tiny form, where there is no GPU to run it on."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from fedn_pipeline import compute, config

CPU = torch.device("cpu")
SMALL = {"feature_width": 64, "embedding": 32, "channels": 32, "head_width": 16}


@pytest.fixture
def benchmarks(monkeypatch):
    """The folder of the scripts, which import each other by name; processes that they start find them too."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    compute.prepare(0, 1)


@pytest.fixture
def settings():
    return config.validate({"model": SMALL, "backbone": {"input_size": 32}})


def test_every_measurement_of_the_gpu_runs(benchmarks, settings, capsys):
    """torch.compile with a backend that translates nothing: what it sees of the network is the same."""
    import gpu

    size = gpu.Size(
        matrix=32, frames=2, share=1 / 325, windows=2, calls=1, processes=(1,), compile={"backend": "eager"}
    )
    measured = list(gpu.measure(size, settings, CPU))
    assert len(measured) == len(gpu.TARGETS)
    assert all(math.isfinite(number) and number > 0 for *numbers, _ in measured for number in numbers)
    printed = capsys.readouterr().out
    for line in ("matrix product bf16", "ResNet18 bf16 compiled", "training step per_window fp32 compiled", "1 folds"):
        assert line in printed


def test_without_a_gpu_the_benchmark_says_so_in_null_numbers(benchmarks, capsys, monkeypatch):
    import gpu

    monkeypatch.setattr(sys, "argv", ["gpu.py", "--quick"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main()
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "no CUDA device: not measured"
    assert [json.loads(line) for line in lines] == [
        {"name": name, "ours": None, "alternative": None, "ratio": None, "target": target}
        for name, target in gpu.TARGETS.items()
    ]


@pytest.mark.parametrize("form", ["fast", "per_window"])
def test_loop_and_bare_steps_make_the_same_network(benchmarks, settings, form):
    """Else their times could not be compared."""
    import training_step

    settings["model"]["form"] = form
    settings["training"] |= {"batch_size": 4, "steps": 3, "precision": "fp32"}
    fold = videos, truth, classes = training_step.made_up(settings, 1 / 325, CPU)
    compute.prepare(0, 1)
    network, step = training_step.bare_steps(settings, *fold, CPU)
    for _ in range(3):
        step()
    compute.prepare(0, 1)
    theirs, _ = training_step.loop.train(videos, truth, videos, truth, classes, settings, 0, CPU)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), theirs.parameters(), strict=True))
    assert training_step.seconds_of_loop(fold, settings, 2, CPU) > 0
