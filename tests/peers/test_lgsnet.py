"""LGSNet: suppression lowers background scores, the gate, the fusion, pseudo intervals, a tiny set learnt by heart."""

import numpy as np
import planted_segments
import pytest
import torch

from fedn_pipeline import config
from fedn_pipeline.detection.threshold import choose_threshold
from fedn_pipeline.model import geometry
from fedn_pipeline.peers import anchored, lgsnet
from fedn_pipeline.peers.fold import detections
from fedn_pipeline.training.targets import IGNORED, NEGATIVE, Targets

DEFAULT = config.validate({})
OWN, WINDOWS = DEFAULT["lgsnet"], DEFAULT["windows"]
BACKGROUND_FROM = planted_segments.ONSETS[-1] + planted_segments.LENGTHS[-1]  # nothing but other movements after it


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "planted.h5"
    planted_segments.write(path)
    task, inputs = planted_segments.task(path, "lgsnet")
    return task, lgsnet.fit(task, inputs)


def test_learns_its_training_videos_by_heart(trained):
    task, spotter = trained
    videos = task.videos[task.videos.video_id != "v3"]
    found = detections(spotter, videos, task.settings["detections"])
    assert choose_threshold(found, task.events, videos)["spotting_f1"] >= 0.9
    assert found.groupby("video_id").size().max() <= OWN["top"]


@pytest.mark.parametrize("role", ["train", "held_out"])
def test_suppression_lowers_background_scores(trained, role):
    """Scores of the first level, before whose head it stands: lower on background than where it is left out, and not
    by silencing all: expressions stand out more with it, too."""
    model = trained[1].spot.__self__
    videos = model.loaded[role]
    cut, index = videos.windows(WINDOWS, WINDOWS["test_stride"])
    first = model.grid.level == 0
    point = torch.from_numpy(cut.start)[:, None] + model.grid.point[first]
    moved = torch.from_numpy(planted_segments.movement(planted_segments.ONSETS, planted_segments.LENGTHS))
    expression = moved[point.long().clamp(max=len(moved) - 1)] > 0
    background = point > BACKGROUND_FROM

    def scores():
        with torch.no_grad():
            return torch.sigmoid(model(videos.features, index)[1][..., 0])[:, first]

    kept, on = model.network.suppression, scores()
    model.network.suppression = None
    off = scores()
    model.network.suppression = kept
    assert on[background].mean() < 0.5 * off[background].mean()
    assert on[expression].mean() / on[background].mean() > off[expression].mean() / off[background].mean()


def test_gate_lets_through_a_part_from_the_neighbourhood_alone():
    module = lgsnet.SuppressionEnhancement(OWN).eval()
    with torch.no_grad():
        x = torch.randn(1, 3 * 512, 16)
        gate = module.gate(*x.chunk(3, dim=1))
        far = x.clone()
        far[..., 10:] = torch.randn(1, 3 * 512, 6)
        other = module.gate(*far.chunk(3, dim=1))
        assert module(torch.randn(2, 512, 16)).shape == (2, 512, 16)
    assert gate.shape == (1, 1, 16) and (gate > 0).all() and (gate < 1).all()
    assert torch.equal(gate[..., :9], other[..., :9])  # a position sees two before it, itself and the next
    assert (gate[..., 9:12] != other[..., 9:12]).all()


def test_fusion_joins_both_resolutions():
    module = lgsnet.Fusion(16, OWN).eval()
    fine, level = torch.randn(2, 512, 32, requires_grad=True), torch.randn(2, 512, 16, requires_grad=True)
    found = module(fine, level)
    assert found.shape == (2, 512, 16)
    found.square().sum().backward()
    assert fine.grad.any() and level.grad.any()
    assert all(value.grad is not None and value.grad.any() for value in module.parameters())
    with torch.no_grad():
        narrow = lgsnet.Fields(32, 32, 16, {**OWN, "group_norm_groups": 4})(torch.randn(1, 32, 16))
        halved = lgsnet.Fields(32, 32, 16, {**OWN, "group_norm_groups": 4}, stride=2)(torch.randn(1, 32, 16))
        joined = lgsnet.Fields(64, 32, 16, {**OWN, "group_norm_groups": 4})(torch.randn(1, 64, 16))
    assert narrow.shape == (1, 32, 16) and halved.shape == (1, 32, 8) and joined.shape == (1, 32, 16)


def test_only_the_first_level_is_suppressed_and_fused():
    module = lgsnet.network(16, WINDOWS, OWN)
    seen = {"suppression": [], "fusion": []}
    for name, found in seen.items():
        getattr(module, name).register_forward_hook(lambda _, given, out, found=found: found.append(out.shape[2]))
    module(torch.randn(1, 64, 16))
    assert seen == {"suppression": [16], "fusion": [16]}


def test_background_windows_get_one_pseudo_interval_each():
    settings = {"windows": WINDOWS, "model": OWN, "training": OWN}
    grid = geometry.build(WINDOWS, OWN)
    held = anchored.assign(np.array([[20.0, 60.0]]), grid, settings)
    classes = torch.cat([held.classes, torch.full((40, 180), NEGATIVE)])
    assigned = Targets(torch.cat([held.intervals, torch.zeros(40, 180, 2)]), classes.clone())
    lengths = np.array([30.0, 400.0])
    fits = lgsnet.pseudo_intervals(assigned, grid, lengths, settings, np.random.default_rng(0))
    assert torch.equal(assigned.classes[0], held.classes[0]) and not fits[0].any()
    assert set(assigned.classes[1:].unique().tolist()) == {NEGATIVE, IGNORED}  # never an expression
    assert not (fits & grid.anchor_free).any() and (assigned.classes[fits] == NEGATIVE).all()
    for window in range(1, 41):
        wanted = assigned.intervals[window][fits[window]].unique(dim=0)
        assert len(wanted) == 1 and wanted.min() >= 0 and wanted.max() <= 128
        assert round(float(wanted[0, 1] - wanted[0, 0])) in (30, 128)  # no longer than the window
    raw = torch.zeros(41, 180, 2, requires_grad=True)
    anchored.loss(raw, torch.zeros(41, 180, 1), assigned, fits, grid, OWN).backward()
    regressed = raw.grad.abs().sum(-1) > 0
    assert torch.equal(regressed & ~grid.anchor_free, (fits | (assigned.classes >= 0)) & ~grid.anchor_free)
