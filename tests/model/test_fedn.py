"""The network's shapes, parameters, starting point and FLOPs against model.md."""

import pytest
import torch

from fedn_pipeline import config
from fedn_pipeline.model import fedn, flops, geometry


@pytest.fixture(scope="module")
def built():
    torch.manual_seed(0)
    return fedn.build(config.validate({}), classes=4)


def test_shapes_and_size(built):
    network, grid = built
    raw, logits = network(torch.randn(3, 134, 512))
    assert raw.shape == (3, 180, 2) and logits.shape == (3, 180, 4)
    assert len(grid.point) == 180
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(24, abs=1)


def test_every_parameter_learns_but_the_cancelled_one(built):
    network, _ = built
    network.zero_grad()
    raw, logits = network(torch.randn(2, 134, 512))
    (raw.square().sum() + logits.square().sum()).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # The score's bias is the same for all frames of a segment, so the softmax over frames cancels it.
    assert still == ["segments.score.bias"]


def test_starts_at_the_class_prior(built):
    network, _ = built
    with torch.no_grad():
        logits = network(torch.randn(4, 134, 512))[1]
    assert torch.sigmoid(logits).mean().item() == pytest.approx(0.018, abs=0.01)


def test_flops_match_the_paper():
    full = flops.count(config.validate({}))
    without = flops.count(config.validate({"model": {"segment_attention": False}}))
    assert full["total"] == pytest.approx(466.4, rel=1e-3)
    assert full["backbone"] == pytest.approx(464.3, rel=1e-3)
    assert full["total"] - without["total"] == pytest.approx(1.08, abs=0.02)


def test_geometry_of_the_levels():
    settings = config.validate({})
    grid = geometry.build(settings["windows"], settings["model"])
    free = grid.point[grid.anchor_free]
    assert free[:3].tolist() == [4, 12, 20] and free[16:18].tolist() == [8, 24] and free[-1] == 96
    first_anchors = grid.anchors[16:21]  # level 0, position 0: centre 4, widths 8 x (0.5 ... 2)
    assert (first_anchors[:, 1] - first_anchors[:, 0]).tolist() == [4, 6, 8, 12, 16]
    assert first_anchors.mean(1).tolist() == [4] * 5


def test_encode_decode_round_trip():
    settings = config.validate({})
    grid = geometry.build(settings["windows"], settings["model"])
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        before, after = (torch.rand(2, 180, generator=generator) + 0.05) * 3 * grid.stride  # below the clamp of dw
        spans = torch.stack([grid.point - before, grid.point + after], dim=-1)
        torch.testing.assert_close(geometry.decode(geometry.encode(spans, grid), grid), spans, atol=1e-3, rtol=1e-4)


def test_decode_stays_finite_and_ordered():
    settings = config.validate({})
    grid = geometry.build(settings["windows"], settings["model"])
    spans = geometry.decode(torch.full((180, 2), 1e4), grid)
    assert torch.isfinite(spans).all() and (spans[:, 1] >= spans[:, 0]).all()
    assert torch.isfinite(geometry.decode(torch.full((180, 2), -1e4), grid)).all()
