"""Segments shared by windows equal the literal form, outputs and gradients, wherever windows meet or videos end."""

import numpy as np
import pytest
import torch

from fedn_pipeline import config
from fedn_pipeline.model import fedn, shared_segments
from fedn_pipeline.model.convolution import ProductConv1d
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


def build(form, windows=None, model=None):
    """The network in one form, always with the same weights, and its settings."""
    settings = config.validate({"windows": windows or {}, "model": (model or {}) | {"form": form}})
    torch.manual_seed(0)
    return fedn.build(settings, classes=3)[0], settings


def overlapping(form, n_steps, windows, model):
    """The network, features and the rows of all test windows, in random order."""
    network, settings = build(form, windows, SMALL | model)
    row_stride = 2 if network.clips else 1
    steps = np.array(n_steps)
    features = torch.randn(int((steps // row_stride).sum()), SMALL["feature_width"])
    videos = data.Videos(tuple(map(str, n_steps)), steps, features, {}, row_stride)
    _, index = videos.windows(settings["windows"], settings["windows"]["test_stride"])
    return network, features, index[torch.randperm(len(index))]


def outputs_and_gradients(network, features, index):
    features = features.clone().requires_grad_()
    outputs = network.of_windows(features, index)
    generator = torch.Generator().manual_seed(1)
    sum((out * torch.randn(out.shape, generator=generator)).mean() for out in outputs).backward()
    gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in network.named_parameters()}
    return outputs, gradients | {"features": features.grad}


def assert_equal(ours, reference):
    """Outputs and gradients (of a mean) to 1e-5; each gradient, however small, to a thousandth of its own largest."""
    (outputs, gradients), (wanted, wanted_gradients) = ours, reference
    torch.testing.assert_close(outputs, wanted, atol=1e-5, rtol=0)
    most = max(gradient.abs().max() for gradient in wanted_gradients.values())
    for name, gradient in wanted_gradients.items():
        apart, size = (gradients[name] - gradient).abs().max(), gradient.abs().max()
        assert apart <= 1e-5, name
        assert apart <= 1e-3 * size or size < 1e-6 * most, name  # the latter: 0 but for rounding, as the key's bias


@pytest.mark.parametrize("form", ["fast", "per_window"])
@pytest.mark.parametrize("case", CASES)
def test_form_equals_literal(case, form):
    ours = outputs_and_gradients(*overlapping(form, *CASES[case]))
    assert_equal(ours, outputs_and_gradients(*overlapping("literal", *CASES[case])))


def test_forms_differ_in_what_they_compute_with():
    def of_products(form):
        return {isinstance(m, ProductConv1d) for m in build(form)[0].modules() if isinstance(m, torch.nn.Conv1d)}

    assert of_products("fast") == {True} and of_products("per_window") == of_products("literal") == {False}


def test_at_full_width():
    features = torch.randn(166, 512, generator=torch.Generator().manual_seed(2))
    index = torch.arange(134) + torch.tensor([[0], [16], [32]])
    ours = outputs_and_gradients(build("fast")[0], features, index)
    assert ours[1]["segments.qkv.weight"].abs().max() > 0
    assert_equal(ours, outputs_and_gradients(build("literal")[0], features, index))


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
    network, features, index = overlapping("fast", *CASES[case])
    seen = {}
    network.input_norm.register_forward_hook(lambda module, inputs, _: seen.update(frames=len(inputs[0])))
    network.segments.reduce.register_forward_hook(lambda module, inputs, _: seen.update(segments=len(inputs[0])))
    shared_segments.embed(network, features, index)
    assert seen == {"frames": frames, "segments": segments}
