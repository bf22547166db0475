"""What LSSNet and LGSNet share: segments from frames and from clips, shapes of all levels, the loss, failures."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import planted_segments
import pytest
import torch

from fedn_pipeline import config, intervals
from fedn_pipeline.files import InputError
from fedn_pipeline.model import geometry
from fedn_pipeline.peers import anchored, fold, lgsnet, lssnet, needs
from fedn_pipeline.peers.task import Failed
from fedn_pipeline.training.targets import IGNORED, NEGATIVE, Targets

DEFAULT = config.validate({})
CONFIG = Path(__file__).parents[2] / "config"
METHODS = {"lssnet": (lssnet, 23.1e6), "lgsnet": (lgsnet, 30.5e6)}


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "planted.h5"
    planted_segments.write(path)
    return path


def network(method, width):
    torch.manual_seed(0)
    return METHODS[method][0].network(width, DEFAULT["windows"], DEFAULT[method]).eval()


@pytest.mark.parametrize("method", METHODS)
def test_size_is_the_papers(method):
    size = METHODS[method][1]
    found = sum(value.numel() for value in network(method, 2048).parameters())
    assert abs(found - size) < 0.02 * size
    kernel, width = DEFAULT[method]["base_kernel"], DEFAULT[method]["base_width"]
    narrow = sum(value.numel() for value in network(method, 512).parameters())
    assert found - narrow == (2048 - 512) * width * kernel  # the first layer's width alone


@pytest.mark.parametrize("method", METHODS)
def test_shapes_of_all_levels(method):
    module, segments = network(method, 40), torch.randn(2, 64, 40)
    with torch.no_grad():
        fine, coarse = module.base(segments.transpose(1, 2))
        levels = module.features(segments)
        raw, score = module(segments)
    assert fine.shape == (2, 512, 32) and coarse.shape == (2, 512, 16)
    assert [layer.out_channels for layer in module.levels] == [512, 512, 1024, 1024]
    assert [tuple(level.shape) for level in levels] == [(2, 512, length) for length in (16, 8, 4, 2)]
    assert raw.shape == (2, 180, 2) and score.shape == (2, 180, 1)
    grid = geometry.build(DEFAULT["windows"], DEFAULT[method])
    assert [int((grid.level == level).sum()) for level in range(4)] == [96, 48, 24, 12]
    assert geometry.decode(raw, grid).isfinite().all()


@pytest.mark.parametrize("method", METHODS)
def test_outputs_lie_where_the_geometry_says(method):
    """Only the last towers' outputs at one level change when that level's features do."""
    module, segments = network(method, 40), torch.randn(1, 64, 40)
    grid, change = geometry.build(DEFAULT["windows"], DEFAULT[method]), 2
    with torch.no_grad():
        before = module(segments)[1][0, :, 0]
        features = module.features(segments)
        features[change] = features[change] + 1
        module.features = lambda _: features
        after = module(segments)[1][0, :, 0]
    assert torch.equal(before != after, grid.level == change)


def test_segments_are_means_of_their_frames_or_clips_themselves():
    rows = torch.arange(134, dtype=torch.float32)[None, :, None].expand(1, 134, 3)
    found = anchored.segments(rows, 8, 2)
    assert found.shape == (1, 64, 3) and torch.equal(found[0, :, 0], 2 * torch.arange(64) + 3.5)
    clips = torch.randn(2, 64, 5)
    assert torch.equal(anchored.segments(clips, 1, 1), clips)


@pytest.mark.parametrize("method", METHODS)
def test_clips_are_read_as_they_are(method, tmp_path):
    path = tmp_path / "clips.h5"
    planted_segments.write(path, row_stride=2)
    spotter = METHODS[method][0].fit(*planted_segments.task(path, method, epochs=1))
    spans, confidence, own = spotter.spot("v0")
    assert spans.shape == (len(confidence), 2) and (own == confidence).all()
    assert len(spotter.valid("v0")) == planted_segments.STEPS


def test_rows_of_another_stride_are_refused(tmp_path):
    path = tmp_path / "thirds.h5"
    planted_segments.write(path, row_stride=3)
    with pytest.raises(InputError, match="a row every 3 frames"):
        lssnet.fit(*planted_segments.task(path, "lssnet"))


def test_loss_is_the_sum_of_both_branches():
    own, windows = DEFAULT["lssnet"], DEFAULT["windows"]
    grid = geometry.build(windows, own)
    found = anchored.assign(np.array([[20.0, 60.0], [4.0, 9.0]]), grid, {"model": own, "training": own})
    raw, score = torch.randn(2, 180, 2), torch.randn(2, 180, 1)
    none = torch.zeros(2, 180, dtype=torch.bool)
    whole = anchored.loss(raw, score, found, none, grid, own)
    by_hand, positive = 0.0, found.classes >= 0
    for branch in (grid.anchor_free, ~grid.anchor_free):
        matched = positive & branch
        assert matched.any()
        for window in range(2):
            for p in torch.where(branch & (found.classes[window] != IGNORED))[0]:
                x = torch.sigmoid(score[window, p, 0].double())
                right = x if positive[window, p] else 1 - x
                share = 0.25 if positive[window, p] else 0.75
                by_hand -= share * (1 - right) ** 2 * right.log() / (matched.sum() + 2)
    at = positive & grid.anchor_free
    by_hand += (1 - intervals.iou(geometry.decode(raw, grid)[at], found.intervals[at])).mean()
    at = positive & ~grid.anchor_free
    off = (raw - geometry.encode(found.intervals, grid))[at].abs()
    by_hand += torch.where(off < 1, off**2 / 2, off - 0.5).sum(-1).mean()
    assert whole.item() == pytest.approx(float(by_hand), rel=1e-5)


def test_loss_without_any_positive_is_finite_and_ignores_the_ignored():
    own = DEFAULT["lgsnet"]
    grid = geometry.build(DEFAULT["windows"], own)
    classes = torch.full((2, 180), NEGATIVE)
    classes[:, ::3] = IGNORED
    found = Targets(torch.zeros(2, 180, 2), classes)
    raw, score = torch.randn(2, 180, 2, requires_grad=True), torch.randn(2, 180, 1, requires_grad=True)
    anchored.loss(raw, score, found, torch.zeros(2, 180, dtype=torch.bool), grid, own).backward()
    assert score.grad.isfinite().all() and not score.grad[:, ::3].any() and score.grad[:, 1::3].all()
    assert raw.grad is None or not raw.grad.any()


def test_training_is_reproducible(features):
    first, second = (lgsnet.fit(*planted_segments.task(features, "lgsnet", epochs=2)) for _ in range(2))
    assert all(torch.equal(first.state[name], second.state[name]) for name in first.state)


@pytest.mark.parametrize("method", METHODS)
def test_only_training_videos_teach(method, features):
    """Other labels of the held-out video leave every weight as it is."""
    _, events = planted_segments.tables()
    module = METHODS[method][0]
    states = [
        module.fit(*planted_segments.task(features, method, events=known, epochs=1)).state
        for known in (events, events[events.video_id != "v3"])
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("method", METHODS)
def test_failures_have_a_reason(method, features, monkeypatch):
    _, events = planted_segments.tables()
    module = METHODS[method][0]
    with pytest.raises(Failed, match="no training window holds an expression"):
        module.fit(*planted_segments.task(features, method, events=events[:0]))
    with pytest.raises(Failed, match="not converging"):
        module.fit(*planted_segments.task(features, method, learning_rate=1e30, warmup_epochs=0))
    monkeypatch.setattr(anchored.targets, "_fit", lambda spans, grid, _: (torch.zeros(180, len(spans)).bool(),) * 2)
    with pytest.raises(Failed, match="no prediction answers"):
        module.fit(*planted_segments.task(features, method))


@pytest.mark.parametrize("method", METHODS)
def test_fewer_training_windows_than_held_out_ones(method, features):
    """As on a data set of three subjects: one expression in all, whose windows are less than a batch of the others."""
    _, events = planted_segments.tables()
    task, inputs = planted_segments.task(features, method, events=events[:1], epochs=1, background_per_positive=0)
    spotter = METHODS[method][0].fit(task, inputs)
    assert re.search(r"steps of \d of [1-7] windows", spotter.words)
    assert np.isfinite(spotter.log[-1]["held_out_loss"])


def test_other_expressions_are_neither_target_nor_background(features):
    """Unlabelled movements given as others: no background window touches them, and nothing is learnt against them."""
    _, events = planted_segments.tables()
    rows = [
        {**events.iloc[0].to_dict(), "video_id": f"v{n}", "onset": onset, "offset": onset + 29}
        for n in range(4)
        for onset in planted_segments.OTHER_ONSETS
    ]
    plain, careful = (
        lgsnet.fit(*planted_segments.task(features, "lgsnet", others=others, epochs=1))
        for others in (events[:0], pd.DataFrame(rows))
    )
    windows = [int(spotter.words.split(" of ")[2].split()[0]) for spotter in (plain, careful)]
    assert windows[1] < windows[0]


def test_levels_that_do_not_follow_are_refused():
    own = {**DEFAULT["lssnet"], "level_strides": [16, 32, 64, 128]}
    with pytest.raises(InputError, match="do not follow from a base"):
        lssnet.network(8, DEFAULT["windows"], own)
    with pytest.raises(InputError, match="one width for each"):
        lssnet.network(8, DEFAULT["windows"], {**DEFAULT["lssnet"], "level_widths": [512]})


def test_they_read_features():
    for method in METHODS:
        assert needs.INPUT[method] == needs.SEGMENTS and fold.METHODS[method] is METHODS[method][0]
        assert needs.gaps(None, None, None, "s", {"folds": {"method": method}}) == []


def test_experiments_name_their_input():
    for method in METHODS:
        own, other = (config.resolve(CONFIG, "custom", name) for name in (method, f"{method}_resnet18"))
        assert own["folds"]["method"] == other["folds"]["method"] == method
        assert own["backbone"]["name"] == "i3d" and own["model"]["clip_features"]
        assert other["backbone"]["name"] == config.resolve(CONFIG, "custom")["backbone"]["name"]


@pytest.mark.parametrize("method", METHODS)
def test_frames_without_a_face_take_nobody_s_place(method, features):
    """Of a video without a face but for its first expression, at most one interval is asked for, and that is there."""
    made, inputs = planted_segments.task(features, method, epochs=1, top=1)
    spotter = METHODS[method][0].fit(made, inputs)
    valid = spotter.valid("v3")
    first, whole = slice(20, 64), spotter.spot("v3")[0]
    shown = valid.copy()
    valid[:], valid[first] = False, True  # in place: what the spotter reads
    spans, confidence, _ = spotter.spot("v3")
    valid[:] = shown
    assert len(whole) == len(spans) == len(confidence) == 1
    assert intervals.intersection(spans, np.array([[20.0, 64.0]]))[0] >= intervals.length(spans)[0] / 2
