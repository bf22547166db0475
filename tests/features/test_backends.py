"""Backends and precisions: the rule of `auto`, how near each is to fp32, and that caches do not mix them."""

import platform
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from fedn_pipeline import compute, config, tensor_file
from fedn_pipeline.dataset.demo import stills
from fedn_pipeline.faces import crops
from fedn_pipeline.features import backbone, backends, extract
from fedn_pipeline.features import stills as pictures
from fedn_pipeline.files import InputError

SIDE = 96
SETTINGS = config.validate({"backbone": {"input_size": SIDE, "backend": "torch", "precision": "fp32"}})
CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A ResNet18 with random weights whose batch norms have seen pictures of the size used here."""
    torch.manual_seed(0)
    net = resnet18().train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(8, 3, SIDE, SIDE))
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    tensor_file.save(path, net.eval().state_dict(), {"origin": "random"})
    return path


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Rendered faces `[9, SIDE, SIDE, 3]` uint8: one of each expression, and neutral ones."""
    folder = tmp_path_factory.mktemp("faces")
    settings = config.validate({})["demo"]
    settings |= {"stills_per_photograph": 9, "still_identities_per_photograph": 2, "still_validation_identities": 1}
    stills.render_stills(settings, folder)
    paths = sorted(folder.glob("hopper*/*.jpg"))
    return np.stack([pictures.picture(path, np.full(4, np.nan), SIDE) for path in paths])


def installed(monkeypatch, names):
    monkeypatch.setattr(backends, "find_spec", lambda name: name in names or None)


@pytest.mark.parametrize(
    ("packages", "machine", "device", "chosen"),
    [
        ([], "x86_64", CPU, "torch"),
        (["openvino"], "x86_64", CPU, "openvino"),
        (["openvino"], "aarch64", CPU, "torch"),
        (["openvino"], "x86_64", GPU, "torch"),
    ],
)
@pytest.mark.parametrize("fast", [False, True])
def test_rule_of_auto(monkeypatch, packages, machine, device, chosen, fast):
    installed(monkeypatch, packages)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(compute, "fast_bf16", lambda _device: fast)
    every = config.validate({})["backbone"]
    assert (every["backend"], every["precision"]) == ("auto", "auto")
    assert backends.choose(every, device) == (chosen, "bf16" if fast else "fp32", device)
    assert backends.choose(every | {"backend": "torch", "precision": "fp32"}, device) == ("torch", "fp32", device)


def test_openvino_asked_for_computes_on_the_processor_or_names_its_extra(monkeypatch, weights):
    chosen = SETTINGS["backbone"] | {"backend": "openvino"}
    installed(monkeypatch, ["openvino"])
    assert backends.choose(chosen, GPU) == ("openvino", "fp32", CPU)
    installed(monkeypatch, [])
    with pytest.raises(InputError, match=r"openvino is not installed; pip install .*requirements-openvino"):
        backends.load(weights, chosen)


def embedded(weights, faces, **chosen):
    return backends.load(weights, SETTINGS["backbone"] | chosen)[0](faces)


def least_cosine(a, b):
    return ((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min()


def test_torch_bf16_is_near_fp32_in_every_frame(weights, faces):
    exact, near = embedded(weights, faces), embedded(weights, faces, precision="bf16")
    assert exact.dtype == near.dtype == np.float32 and exact.shape == near.shape == (9, 512)
    assert not np.array_equal(exact, near)
    assert least_cosine(exact, near) >= 0.999


def test_torch_is_the_plain_network(weights, faces, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings = SETTINGS["backbone"]
    with torch.inference_mode():
        plain = backbone.load(weights)(backbone.normalise(faces, settings["mean"], settings["std"])).numpy()
    embed, *names = backends.load(weights, settings)
    assert names == ["torch", "fp32"]
    assert np.array_equal(embed(faces), plain)


@pytest.fixture
def openvino():
    """Only where it is installed; not imported here, for that would report its use."""
    if find_spec("openvino") is None:
        pytest.skip("the extra [openvino] is not installed")


@pytest.mark.usefixtures("openvino")
def test_openvino_is_near_torch_in_every_frame_and_repeats(weights, faces):
    exact, found = embedded(weights, faces), embedded(weights, faces, backend="openvino")
    assert found.dtype == np.float32 and found.shape == (9, 512)
    np.testing.assert_allclose(found, exact, atol=1e-4, rtol=1e-4)
    assert np.array_equal(found, embedded(weights, faces, backend="openvino"))
    embed = backends.load(weights, SETTINGS["backbone"] | {"backend": "openvino"})[0]
    assert np.array_equal(np.concatenate([embed(faces[:7]), embed(faces[7:])]), found)


@pytest.mark.usefixtures("openvino")
def test_openvino_bf16_is_near_fp32_or_refused(weights, faces):
    if compute.fast_bf16(CPU):
        near = embedded(weights, faces, backend="openvino", precision="bf16")
        assert not np.array_equal(near, embedded(weights, faces, backend="openvino"))
        assert least_cosine(embedded(weights, faces), near) >= 0.999
    else:
        with pytest.raises(InputError, match="OpenVINO has no bf16 on this processor"):
            embedded(weights, faces, backend="openvino", precision="bf16")


def of_head_motion(real_faces):
    """Every sixtieth crop of a real video `[15, SIDE, SIDE, 3]`, as the stage reads them."""
    folder, _ = real_faces
    needed = np.arange(842) % 60 == 0
    return np.stack(list(extract.pictures(folder / f"crops/head_motion{crops.CROPS_SUFFIX}", needed, SIDE)))


def test_bf16_is_near_fp32_on_real_faces(real_faces, weights):
    images = of_head_motion(real_faces)
    assert least_cosine(*(embedded(weights, images, precision=precision) for precision in ("fp32", "bf16"))) >= 0.999


@pytest.mark.usefixtures("openvino")
def test_openvino_is_near_torch_on_real_faces(real_faces, weights):
    images = of_head_motion(real_faces)
    assert least_cosine(*(embedded(weights, images, backend=backend) for backend in ("torch", "openvino"))) >= 0.999
