"""Segments shared by windows equal the literal form, outputs and gradients, wherever windows meet or videos end."""

import numpy as np
import pytest
import torch

from fedn_pipeline import config
from fedn_pipeline.model import fedn, shared_segments
from fedn_pipeline.training import data

SMALL = {"feature_width": 64, "embedding": 32, "channels": 32, "head_width": 16}
CASES = {
    "even end": ([300], {}, {}),
    "odd end": ([301], {}, {}),
    "two videos, one shorter than a window": ([200, 50], {}, {}),
    "coarser rates too": ([301, 200], {"rates": [1, 2, 4]}, {}),
    "segments side by side": ([300], {"segment_stride": 2, "segment_frames": 2}, {}),
    "without attention": ([301], {}, {"segment_attention": False}),
    "clips": ([301], {"rates": [1, 2]}, {"clip_features": True}),
}


def overlapping(n_steps, windows, model):
    """A network, features and the rows of all test windows, in random order."""
    settings = config.validate({"windows": windows, "model": SMALL | model})
    torch.manual_seed(0)
    network, _ = fedn.build(settings, classes=3)
    row_stride = 2 if network.clips else 1
    steps = np.array(n_steps)
    features = torch.randn(int((steps // row_stride).sum()), SMALL["feature_width"])
    videos = data.Videos(tuple(map(str, n_steps)), steps, features, {}, row_stride)
    _, index = videos.windows(settings["windows"], settings["windows"]["test_stride"])
    return network, features, index[torch.randperm(len(index))]


def outputs_and_gradients(network, form, features, index):
    network.form, features = form, features.clone().requires_grad_()
    network.zero_grad()
    outputs = network.of_windows(features, index)
    generator = torch.Generator().manual_seed(1)
    sum((out * torch.randn(out.shape, generator=generator)).mean() for out in outputs).backward()
    gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in network.named_parameters()}
    return outputs, gradients | {"features": features.grad}


@pytest.mark.parametrize("form", ["fast", "per_window"])
@pytest.mark.parametrize("case", CASES)
def test_form_equals_literal(case, form):
    network, features, index = overlapping(*CASES[case])
    ours, our_gradients = outputs_and_gradients(network, form, features, index)
    literal, gradients = outputs_and_gradients(network, "literal", features, index)
    torch.testing.assert_close(ours, literal, atol=1e-5, rtol=0)
    torch.testing.assert_close(our_gradients, gradients, atol=1e-5, rtol=0)
    assert max(gradient.abs().max() for gradient in gradients.values()) > 1e-3  # 1e-5 is small beside them


def test_at_full_width():
    torch.manual_seed(0)
    network, _ = fedn.build(config.validate({}), classes=4)
    features = torch.randn(166, 512)
    index = torch.arange(134) + torch.tensor([[0], [16], [32]])
    ours, our_gradients = outputs_and_gradients(network, "fast", features, index)
    literal, gradients = outputs_and_gradients(network, "literal", features, index)
    torch.testing.assert_close(ours, literal, atol=1e-5, rtol=0)
    torch.testing.assert_close(our_gradients, gradients, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("case", "frames", "segments"),
    [
        # Windows start at even frames (0, 16 ... 160, 172), the last one reads to the end: a segment at each of those.
        ("even end", 300, 150),
        # Segments at even frames 0 ... 286; those of the last window, which starts at 173, at odd ones.
        ("odd end", 301, 144 + 64),
        ("segments side by side", 300, 150),
    ],
)
def test_each_frame_and_segment_is_computed_once(case, frames, segments):
    network, features, index = overlapping(*CASES[case])
    seen = {}
    network.input_norm.register_forward_hook(lambda module, inputs, _: seen.update(frames=len(inputs[0])))
    network.segments.reduce.register_forward_hook(lambda module, inputs, _: seen.update(segments=len(inputs[0])))
    shared_segments.embed(network, features, index)
    assert seen == {"frames": frames, "segments": segments}


def test_per_window_form_is_forward_to_the_bit():
    """The form that the results before `model.form` were made with."""
    network, features, index = overlapping(*CASES["odd end"])
    network.form = "per_window"
    for ours, forward in zip(network.of_windows(features, index), network(features[index]), strict=True):
        assert torch.equal(ours, forward)
