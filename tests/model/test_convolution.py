"""Convolutions as matrix products against PyTorch's own, outputs and gradients."""

import pytest
import torch

from fedn_pipeline import config
from fedn_pipeline.model import fedn
from fedn_pipeline.model.convolution import conv1d


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("length", [1, 2, 7, 16])
def test_product_is_the_convolution(kernel, stride, length):
    torch.manual_seed(0)
    ours, plain = (conv1d({"form": form}, 12, 5, kernel, stride).double() for form in ("fast", "per_window"))
    plain.load_state_dict(ours.state_dict())
    found = []
    for network in (ours, plain):
        x = torch.randn(3, 12, length, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = network(x)
        y.square().sum().backward()
        found.append([y, x.grad, network.weight.grad, network.bias.grad])
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_forms_start_from_the_same_weights():
    def weights(form):
        torch.manual_seed(0)
        return fedn.build(config.validate({"model": {"form": form}}), 3)[0].state_dict()

    ours, plain = weights("fast"), weights("per_window")
    assert list(ours) == list(plain)
    assert all(torch.equal(ours[name], plain[name]) for name in ours)
