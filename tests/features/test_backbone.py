"""The backbone: batch norms folded without changing the function; strangers' files refused."""

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from fedn_pipeline import config
from fedn_pipeline.features import backbone, pretrain
from fedn_pipeline.files import InputError, sha256


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
    backbone.save(tmp_path / "w.safetensors", network, {"log": []})
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
    wanted = [(1 - mean) / std for mean, std in zip(backbone.MEAN, backbone.STD, strict=True)]
    assert backbone.normalise(images)[0, :, 0, 0].tolist() == pytest.approx(wanted, abs=1e-5)


def stills(folder, shared_identity=False):
    """Bright and dark pictures stand for two emotions."""
    rows = []
    for number in range(24):
        emotion = ("neutral", "happiness")[number % 2]
        split = "validation" if number >= 16 else "train"
        level = 60 if emotion == "neutral" else 190
        picture = np.random.default_rng(number).normal(level, 10, (64, 64, 3)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture)
        identity = "one" if shared_identity else f"{split}{number}"
        rows.append((f"{number}.jpg", emotion, identity, "ab"[number // 2 % 2], split))
    pd.DataFrame(rows, columns=pretrain.COLUMNS).to_csv(folder / "stills.csv", index=False)


def test_pretrain_learns_and_repeats(tmp_path):
    stills(tmp_path)
    settings = config.validate({"pretrain": {"steps": 30, "batch_size": 8}, "backbone": {"input_size": 32}})
    log = pretrain.run(tmp_path, tmp_path / "w.safetensors", settings)
    assert log["validation_accuracy"] == 1.0 and log["confusion"] == [[4, 0], [0, 4]]
    first = sha256(tmp_path / "w.safetensors")
    pretrain.run(tmp_path, tmp_path / "w.safetensors", settings)
    assert sha256(tmp_path / "w.safetensors") == first
    assert backbone.load(tmp_path / "w.safetensors")(torch.zeros(1, 3, 224, 224)).shape == (1, 512)


def test_stills_of_a_held_out_photograph_are_left_out(tmp_path):
    stills(tmp_path)
    table = pretrain.read_stills(tmp_path, exclude="a")
    assert set(table.photograph) == {"b"} and len(table) == 12
    with pytest.raises(InputError, match="no photograph `c`"):
        pretrain.read_stills(tmp_path, exclude="c")


def test_identity_on_both_sides_is_refused(tmp_path):
    stills(tmp_path, shared_identity=True)
    with pytest.raises(InputError, match="identities in both splits"):
        pretrain.read_stills(tmp_path)
