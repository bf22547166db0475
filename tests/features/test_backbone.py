"""The backbone: batch norms folded without changing the function; strangers' files refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from fedn_pipeline import tensor_file
from fedn_pipeline.features import backbone
from fedn_pipeline.files import InputError


@pytest.fixture(scope="module")
def network():
    """A ResNet18 whose batch norms have seen data (else folding them would prove nothing)."""
    torch.manual_seed(0)
    net = resnet18(num_classes=5).train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(4, 3, 64, 64) * 2 + 1)
    return net.eval()


def test_loaded_network_gives_the_penultimate_values(tmp_path, network):
    tensor_file.save(tmp_path / "w.safetensors", network.state_dict(), {"log": []})
    loaded = backbone.load(tmp_path / "w.safetensors")
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        headless = torch.nn.Sequential(*list(network.children())[:-1])
        torch.testing.assert_close(loaded(images), headless(images).flatten(1), atol=1e-4, rtol=1e-4)


def test_bad_weights_are_refused_with_a_reason(tmp_path, network):
    with pytest.raises(InputError, match="no such backbone weights"):
        backbone.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("not a checkpoint")
    with pytest.raises(InputError, match="not a safetensors file"):
        backbone.load(tmp_path / "text.safetensors")
    weights = {name: value for name, value in network.state_dict().items() if not name.startswith("layer4")}
    save_file(weights, tmp_path / "part.safetensors")
    with pytest.raises(InputError, match="not a ResNet18: missing"):
        backbone.load(tmp_path / "part.safetensors")


def test_normalise():
    images = np.full((1, 2, 2, 3), 255, dtype=np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    wanted = [(1 - m) / s for m, s in zip(mean, std, strict=True)]
    assert backbone.normalise(images, mean, std)[0, :, 0, 0].tolist() == pytest.approx(wanted, abs=1e-5)


def test_origin(tmp_path, network):
    tensors = network.state_dict()
    tensor_file.save(tmp_path / "a.safetensors", tensors, {"origin": "AffectNet"})
    tensor_file.save(tmp_path / "b.safetensors", tensors, {"emotions": []})  # before the origin was recorded
    save_file(tensors, tmp_path / "c.safetensors")
    origins = [backbone.origin(tmp_path / f"{name}.safetensors") for name in "abc"]
    assert origins == ["AffectNet", "unknown", "checkpoint c.safetensors"]
    save_file(tensors, tmp_path / "d.safetensors", metadata={"fedn_pipeline": "nonsense"})
    with pytest.raises(InputError, match="metadata `fedn_pipeline`"):
        backbone.origin(tmp_path / "d.safetensors")
