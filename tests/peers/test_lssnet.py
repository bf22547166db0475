"""LSSNet: location suppression by its definition, both branches contribute, a tiny set is learnt by heart."""

import planted_segments
import pytest
import torch

from fedn_pipeline import config
from fedn_pipeline.detection.threshold import choose_threshold
from fedn_pipeline.peers import lssnet
from fedn_pipeline.peers.fold import detections

DEFAULT = config.validate({})
OWN, WINDOWS = DEFAULT["lssnet"], DEFAULT["windows"]
MUTE = -1e9


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "planted.h5"
    planted_segments.write(path)
    task, inputs = planted_segments.task(path, "lssnet")
    return task, lssnet.fit(task, inputs)


def score(task, spotter, ids):
    videos = task.videos[task.videos.video_id.isin(ids)]
    found = detections(spotter, videos, task.settings["detections"])
    return choose_threshold(found, task.events, videos)["spotting_f1"], found


def test_learns_its_training_videos_by_heart(trained):
    task, spotter = trained
    assert score(task, spotter, ("v0", "v1", "v2"))[0] >= 0.9
    assert spotter.habit["many_to_one"] and spotter.habit["threshold"] is None
    assert spotter.parameters == sum(value.numel() for value in spotter.state.values())


def test_both_branches_contribute(trained):
    """Each branch alone finds expressions, and neither alone says what both say together."""
    task, spotter = trained
    towers = spotter.spot.__self__.network.towers
    _, both = score(task, spotter, ("v0", "v1", "v2"))
    alone = {}
    for mute, left in (("based", "free"), ("free", "based")):
        bias = towers[f"{mute}_score"][-1].bias
        kept = bias.detach().clone()
        with torch.no_grad():
            bias.fill_(MUTE)
            alone[left] = score(task, spotter, ("v0", "v1", "v2"))
            bias.copy_(kept)
    assert all(f1 > 0.5 for f1, _ in alone.values())
    spans = ["video_id", "onset", "offset", "confidence"]
    for _, found in alone.values():  # some of what stays after NMS comes from either
        assert len(both.merge(found, on=spans)) > 0 and not found[spans].equals(both[spans])


def test_gradient_reaches_every_parameter():
    module = lssnet.network(16, WINDOWS, OWN)
    raw, scores = module(torch.randn(2, 64, 16))
    (raw.square().sum() + scores.square().sum()).backward()
    assert all(value.grad is not None and value.grad.any() for value in module.parameters())


def test_location_suppression_by_its_definition():
    """Each channel is a mean over its neighbours among the channels, of values that reach the limit alone."""
    own = {**OWN, "reduced_width": 24}
    module = lssnet.LocationSuppression(WINDOWS, own).eval()
    for length, neighbours in ((16, 4), (2, 32)):
        x = torch.randn(2, 12, length) * 2
        with torch.no_grad():
            query, key, value = module.query(x), module.key(x), module.value(x)
            found = module.located(x)
            assert module(torch.randn(2, 24, length)).shape == (2, 24, length)
        assert found.shape == x.shape
        for channel in range(12):
            at = [c for c in range(channel - neighbours // 2, channel + neighbours - neighbours // 2)]
            keys, values = (
                torch.stack([t[:, c] if 0 <= c < 12 else torch.zeros(2, length) for c in at], dim=1)
                for t in (key, value)
            )
            weights = torch.softmax((keys * query[:, channel, None]).sum(-1) / 12**0.5, dim=1)
            wanted = (weights[..., None] * values * (values >= 0.45)).sum(1)
            torch.testing.assert_close(found[:, channel], wanted, rtol=1e-4, atol=1e-5)


def test_what_stays_below_the_limit_is_suppressed():
    own = {**OWN, "reduced_width": 24, "suppression_limit": 1e9}
    module = lssnet.LocationSuppression(WINDOWS, own).eval()
    assert not module.located(torch.randn(1, 12, 16)).any()


def test_suppression_stands_at_the_finest_and_the_coarsest_level():
    module = lssnet.network(16, WINDOWS, OWN)
    seen = []
    module.suppression.register_forward_hook(lambda _, given, out: seen.append(out.shape[2]))
    module(torch.randn(1, 64, 16))
    assert seen == [16, 2]
