"""The restructured segment attention equals the literal form: outputs and gradients."""

import copy

import pytest
import torch

from fedn_pipeline import config
from fedn_pipeline.model.segments import SegmentFusion


@pytest.fixture(params=[True, False], ids=["attention", "without attention"])
def fusion_and_frames(request):
    settings = config.validate({"model": {"segment_attention": request.param}})
    torch.manual_seed(0)
    return SegmentFusion(settings["windows"], settings["model"]), torch.randn(2, 134, 512)


def test_forward_equals_literal(fusion_and_frames):
    fusion, frames = fusion_and_frames
    with torch.no_grad():
        ours, literal = fusion(frames), fusion.literal(frames)
    assert ours.shape == (2, 64, 512)
    torch.testing.assert_close(ours, literal, atol=1e-5, rtol=0)


def test_gradients_equal_literal(fusion_and_frames):
    fusion, frames = fusion_and_frames
    other = copy.deepcopy(fusion)
    weight = torch.randn(2, 64, 512) / 64
    gradients = []
    for module, form in ((fusion, "forward"), (other, "literal")):
        x = frames.clone().requires_grad_()
        (getattr(module, form)(x) * weight).sum().backward()
        gradients.append(
            [x.grad, *(p.grad if p.grad is not None else torch.zeros_like(p) for p in module.parameters())]
        )
    for ours, literal in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, literal, atol=1e-5, rtol=1e-4)


def test_segment_holds_its_own_frames_only(fusion_and_frames):
    fusion, frames = fusion_and_frames
    changed = frames.clone()
    changed[:, 20] += 1
    with torch.no_grad():
        touched = (fusion(frames) - fusion(changed)).abs().amax(dim=(0, 2)) > 1e-6
    assert touched.nonzero().flatten().tolist() == [7, 8, 9, 10]  # segment n holds frames 2n ... 2n + 7
