"""Training that can be trusted: it stops with its cause, it names silent levels, and every head learns."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from fedn_pipeline import compute, config
from fedn_pipeline.detection import candidates
from fedn_pipeline.files import InputError
from fedn_pipeline.model import outputs
from fedn_pipeline.training import data, loop, losses, predictions, targets, windows

STEPS, WIDTH, CLASSES = 260, 64, ["anger", "happiness"]
EVENTS = np.array([[20.0, 44], [90, 135], [180, 210]]), np.array([0, 1, 0])
CPU = torch.device("cpu")
SMALL = {"feature_width": WIDTH, "embedding": 64, "channels": 64, "head_width": 32}


def planted(videos=3, row_stride=1):
    """Videos whose features carry a bump in the emotion's own direction during each of EVENTS."""
    directions = np.random.default_rng(99).normal(size=(2, WIDTH))
    rows = []
    for number in range(videos):
        features = np.random.default_rng(number).normal(size=(STEPS, WIDTH)) * 0.3
        for (start, end), label in zip(EVENTS[0].astype(int), EVENTS[1], strict=True):
            features[start:end] += np.sin(np.linspace(0.3, np.pi - 0.3, end - start))[:, None] * directions[label]
        rows.append(features[::row_stride])
    ids = tuple(f"v{number}" for number in range(videos))
    valid = {video: np.ones(STEPS, dtype=bool) for video in ids}
    features = torch.from_numpy(np.concatenate(rows)).float()
    return data.Videos(ids, np.full(videos, STEPS), features, valid, row_stride)


def settings(steps, model=None, **training):
    chosen = {"steps": steps, "batch_size": 4, "learning_rate": 2e-3, "log_every": steps, "precision": "fp32"}
    model, windows = SMALL | (model or {}), {"train_stride": 16}
    return config.validate({"training": chosen | training, "model": model, "windows": windows})


def train(chosen, videos=None, events=EVENTS, held_out=None):
    """A network and its log; `videos` train, one more is held out."""
    videos, held_out = videos or planted(), held_out or planted(1)
    device = compute.prepare(0, 1)
    return loop.train(
        videos, [events] * len(videos.ids), held_out, [EVENTS], CLASSES, chosen, 0, device, label="without p0"
    )


def detected(network, chosen, videos):
    """Detections of the first video."""
    names = outputs.names(CLASSES, chosen["model"])
    starts, spans, logits = loop.predict(network, videos, chosen, CPU)["v0"]
    raw = predictions.RawPredictions(starts, spans, logits, videos.valid["v0"], 30.0, STEPS)
    return candidates.of_video("v0", raw, names, chosen["detections"])


@pytest.mark.parametrize(
    "model", [{}, {"confidence_branch": True}, {"coupled_head": True}, {"clip_features": True}], ids=str
)
def test_every_head_finds_and_names_planted_events(model):
    chosen, videos = settings(50, model), planted(row_stride=2 if "clip_features" in model else 1)
    network, log = train(chosen, videos, held_out=planted(1, videos.row_stride))
    best = detected(network, chosen, videos)[:3].sort_values("onset")
    assert best.emotion.tolist() == ["anger", "happiness", "anger"]
    assert np.abs(best[["onset", "offset"]].to_numpy() - (EVENTS[0] - [0, 1])).max() < 10
    assert ("objectness" in log[-1]) == ("confidence_branch" in model)
    assert math.isfinite(log[-1]["held_out_loss"]) and log[-1]["loss"] > 0


def test_one_seed_gives_the_same_bytes():
    first, second = train(settings(3)), train(settings(3))
    assert first[1] == second[1]
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), second[0].parameters(), strict=True))


@pytest.mark.parametrize("rates", [[1], [1, 2]], ids=str)
def test_forms_of_the_segments_train_and_predict_alike(rates):
    """To what float rounding leaves of a few steps: losses, and predictions of all test windows."""
    runs = []
    for form in ("literal", "per_window", "fast"):
        chosen = settings(4, {"form": form})
        chosen["windows"]["rates"] = rates
        network, log = train(chosen)
        runs.append((log[-1]["loss"], log[-1]["held_out_loss"], loop.predict(network, planted(), chosen, CPU)))
    for loss, held_out_loss, predicted in runs[1:]:
        assert (loss, held_out_loss) == pytest.approx(runs[0][:2], rel=1e-4)
        for ours, literal in zip(predicted["v1"], runs[0][2]["v1"], strict=True):
            np.testing.assert_allclose(ours, literal, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("form", ["fast", "per_window"])
def test_half_precision_features_give_the_bytes_of_the_same_numbers_in_float32(form):
    """As the cache holds them: float16 becomes float32 where it is read, without loss."""
    chosen, videos, held_out, runs = settings(3, {"form": form}), planted(), planted(1), []
    for of in (torch.Tensor.half, lambda features: features.half().float()):
        ours, theirs = (dataclasses.replace(v, features=of(v.features)) for v in (videos, held_out))
        network, log = train(chosen, ours, held_out=theirs)
        runs.append((log, [p.tobytes() for part in loop.predict(network, ours, chosen, CPU).values() for p in part]))
    assert runs[0] == runs[1]


def test_windows_of_the_held_out_loss_are_spread_evenly_over_all_of_them():
    every, some = settings(1, held_out_windows=30), settings(1, held_out_windows=5)
    index, assigned, _ = loop.prepare(planted(), [EVENTS] * 3, every)
    few, theirs, _ = loop.prepare(planted(), [EVENTS] * 3, some)
    assert len(index) == 30 and few.tolist() == index[::6].tolist()  # 10 windows of each of 3 videos
    assert torch.equal(theirs.classes, assigned.classes[::6]) and torch.equal(theirs.intervals, assigned.intervals[::6])


def test_targets_of_training_windows_are_those_of_each_window_alone():
    """Windows without an event share one assignment; they are most of a sparse video's."""
    chosen, events = settings(1), (EVENTS[0][:1], EVENTS[1][:1])
    index, assigned, grid = loop.prepare(planted(), [events] * 3, chosen, np.random.default_rng(0))
    cut, every = planted().windows(chosen["windows"], chosen["windows"]["train_stride"])
    annotations = windows.annotate(cut, [events] * 3, chosen["windows"])
    numbers = [every.tolist().index(rows) for rows in index.tolist()]
    assert sum(not len(annotations[i].targets) for i in numbers) > 1
    for place, number in enumerate(numbers):
        spans, classes = targets.assign(annotations[number], grid, chosen["model"], chosen["training"])
        assert torch.equal(assigned.intervals[place], spans) and torch.equal(assigned.classes[place], classes)


def test_learning_curve_does_not_disturb_training():
    """Rows of the log, held-out loss included, change nothing in the network."""
    rare, often = train(settings(4)), train(settings(4, log_every=2))
    assert [row["step"] for row in often[1]] == [2, 4]
    assert rare[1][-1]["held_out_loss"] == often[1][-1]["held_out_loss"]
    assert all(torch.equal(a, b) for a, b in zip(rare[0].parameters(), often[0].parameters(), strict=True))


def test_silent_level_is_named_in_log_and_columns(capsys):
    """No expression here is long enough for the last level, whose anchors begin at 96 frames."""
    chosen = settings(2, {"anchor_widths": [1.5, 2], "level_ranges": [[0, 10], [8, 32], [16, 64], [100, 128]]})
    _, log = train(chosen)
    columns = {name: value for name, value in log[-1].items() if name.startswith("training_positives_")}
    assert list(columns) == [f"training_positives_{stride}" for stride in (8, 16, 32, 64)]
    assert columns["training_positives_64"] == 0 and columns["training_positives_32"] > 0
    printed = capsys.readouterr().err
    assert "WARNING: without p0: no training window gives a positive on level(s) of stride 64 frames" in printed
    _, log = train(settings(2))
    assert log[-1]["training_positives_64"] > 0 and "WARNING" not in capsys.readouterr().err


def test_features_that_are_not_finite_stop_with_their_cause():
    videos = planted()
    videos.features[5] = torch.nan
    with pytest.raises(
        FloatingPointError, match=r"without p0: step \d: not finite: the features of its windows \(loss"
    ):
        train(settings(20), videos)
    held_out = planted(1)
    held_out.features[7] = torch.inf
    with pytest.raises(FloatingPointError, match=r"without p0: after step 1: held-out loss nan"):
        train(settings(2), held_out=held_out)


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        (lambda total, parts: (total * torch.inf, parts | {"interval": torch.tensor(torch.inf)}), "the interval loss"),
        (lambda total, parts: (total + (total - total.detach()).abs().sqrt(), parts), "the gradient of "),
    ],
    ids=["loss", "gradient"],
)
def test_loss_and_gradient_that_are_not_finite_stop_with_their_cause(broken, cause, monkeypatch):
    """A loss that overflows; a finite loss whose gradient is not (a square root at zero)."""
    plain = losses.loss
    monkeypatch.setattr(losses, "loss", lambda *arguments: broken(*plain(*arguments)))
    with pytest.raises(FloatingPointError, match=f"without p0: step 0: not finite: {cause}"):
        train(settings(2))


def test_a_pass_without_any_positive_stops_with_its_cause():
    """One window in four holds the one expression, and every pass leaves one window out."""
    first = (np.array([[0.0, 30.0]]), np.array([0]))
    cause = r"no positive in the 1 steps up to step \d+: only 1 of 4 training windows hold one, and 1 are"
    with pytest.raises(InputError, match=f"without p0: {cause} left out"):
        train(settings(50, batch_size=3, empty_passes=1), planted(1), first)
    train(settings(5, batch_size=4), planted(1), first)


def test_no_positive_at_all_is_refused_before_the_first_step():
    short = (np.array([[61.0, 67.0]]), np.array([0]))  # lies between the first level's points
    with pytest.raises(InputError, match="no prediction answers for any expression"):
        train(settings(2), events=short)
