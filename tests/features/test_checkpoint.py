"""The user's weights: every usual layout gives the same network; all else is refused with its reason, and never run."""

import argparse
import json
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchvision.models import resnet18, resnet34, resnet50

from fedn_pipeline import cli, tensor_file
from fedn_pipeline.features import backbone, checkpoint
from fedn_pipeline.files import InputError, sha256


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return resnet18(num_classes=7).eval()


@pytest.fixture(scope="module")
def plain(network):
    return network.state_dict()


def prefixed(tensors, prefix):
    return {prefix + name: value for name, value in tensors.items()}


def sequential(network, prefix):
    return prefixed(torch.nn.Sequential(*list(network.children())[:-1]).state_dict(), prefix)


LAYOUTS = {
    "plain.pth": lambda net, plain: plain,
    "wrapped.pth.tar": lambda net, plain: {
        "epoch": 3,
        "best_acc": 0.61,
        "state_dict": plain,
        "optimizer": {"state": {}},
    },
    "model.bin": lambda net, plain: {"model": prefixed(plain, "module.")},
    "nested.pt": lambda net, plain: {"checkpoint": {"net": prefixed(plain, "module.encoder.")}},
    "features.pt": lambda net, plain: {
        "model_state_dict": sequential(net, "module.features.") | {"module.head.weight": torch.zeros(8, 512)}
    },
    "old.pt": lambda net, plain: {name: v for name, v in plain.items() if not name.endswith("num_batches_tracked")},
    "heads.pt": lambda net, plain: prefixed(plain, "backbone.") | {"classifier.weight": torch.zeros(8, 512)},
    "double.pt": lambda net, plain: {name: value.double() for name, value in plain.items()},
    "ema.pt": lambda net, plain: {"state_dict": plain, "ema": {name: v.clone() for name, v in plain.items()}},
    "options.pt": lambda net, plain: {
        "state_dict": plain,
        "args": argparse.Namespace(lr=1, milestones=[3, 5]),
        "best": np.float64(0.61),
        "epoch": np.int64(3),
    },
    "parameters.pt": lambda net, plain: dict(plain, **dict(net.named_parameters())),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_network(name, network, plain, tmp_path):
    path, out = tmp_path / name, tmp_path / "out.safetensors"
    torch.save(LAYOUTS[name](network, plain), path)
    description = checkpoint.convert(path, out)
    assert description["origin"] == f"checkpoint {name}" == backbone.origin(out)
    assert description["source_sha256"] == sha256(path)
    written = load_file(out)
    assert set(written) == {key for key in plain if not key.startswith("fc.")}
    assert all(torch.equal(written[key], plain[key]) for key in written)
    assert all(value.dtype == plain[key].dtype for key, value in written.items())
    if name in ("plain.pth", "features.pt"):
        images = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            wanted = torch.nn.Sequential(*list(network.children())[:-1])(images).flatten(1)
            torch.testing.assert_close(backbone.load(out)(images), wanted, atol=1e-4, rtol=1e-4)


def test_what_was_dropped_is_said(network, plain, tmp_path):
    torch.save(LAYOUTS["features.pt"](network, plain), tmp_path / "f.pt")
    description = checkpoint.convert(tmp_path / "f.pt", tmp_path / "out.safetensors")
    assert description["found_in"] == "model_state_dict / module.features.*"
    assert description["dropped"] == ["module.head.weight"]
    with safe_open(tmp_path / "out.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["fedn_pipeline"]) == description


def test_safetensors_and_legacy_files(plain, tmp_path):
    save_file(prefixed(plain, "backbone."), tmp_path / "hub.safetensors")
    assert checkpoint.convert(tmp_path / "hub.safetensors", tmp_path / "a.safetensors")["dropped"] == [
        "backbone.fc.bias", "backbone.fc.weight",
    ]  # fmt: skip
    torch.save({"state_dict": plain}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    checkpoint.convert(tmp_path / "old.pth", tmp_path / "b.safetensors")
    first, second = (load_file(tmp_path / f"{name}.safetensors") for name in "ab")
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_weights_of_the_demo_stay_demo_weights(plain, tmp_path):
    tensor_file.save(tmp_path / "renamed.safetensors", plain, {"origin": "demo stills"})
    assert checkpoint.convert(tmp_path / "renamed.safetensors", tmp_path / "o.safetensors")["origin"] == "demo stills"


def without(tensors, start):
    return {name: value for name, value in tensors.items() if not name.startswith(start)}


def other(tensors):
    return tensors | {"bn1.bias": tensors["bn1.bias"] + 1}


MISFITS = {
    "layers missing": (
        lambda p: without(p, "layer4.1."),
        r"10 of a ResNet18's 100 tensors are missing: layer4\.1\.conv1",
    ),
    "stem missing": (lambda p: without(p, "conv1."), r"1 of a ResNet18's 100 tensors are missing: conv1\.weight"),
    "ResNet50": (lambda p: {"state_dict": resnet50().state_dict()}, "looks like a ResNet50, not a ResNet18"),
    "ResNet34": (lambda p: prefixed(resnet34().state_dict(), "module."), "looks like a ResNet34"),
    "grey pictures": (
        lambda p: p | {"conv1.weight": torch.zeros(64, 1, 7, 7)},
        r"conv1.weight is \[64, 1, 7, 7\], not",
    ),
    "further modules": (lambda p: p | {"layer1.0.se.weight": torch.zeros(3)}, r"ResNet18 does not have: layer1\.0\.se"),
    "not finite": (lambda p: p | {"bn1.bias": torch.full((64,), torch.nan)}, r"not finite: bn1\.bias"),
    "integers": (lambda p: p | {"bn1.bias": torch.zeros(64, dtype=torch.int8)}, r"not floating point .*bn1\.bias"),
    "another family": (lambda p: {"blocks.0.attn.qkv.weight": torch.zeros(3)}, r"no ResNet18 in it.*blocks\.0\.attn"),
    "no tensors": (lambda p: {"epoch": 3}, "holds no tensors under names"),
    "one tensor": (lambda p: torch.zeros(3), "holds no tensors under names"),
    "two networks": (
        lambda p: {"state_dict": prefixed(p, "encoder_q.") | prefixed(other(p), "encoder_k."), "copy": p},
        r"several ResNet18 networks: state_dict / encoder_k\.\*, state_dict / encoder_q\.\*",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_misfits_are_refused_with_the_reason(name, plain, tmp_path):
    content, message = MISFITS[name]
    torch.save(content(plain), tmp_path / "w.pt")
    with pytest.raises(InputError, match=message) as error:
        checkpoint.convert(tmp_path / "w.pt", tmp_path / "out.safetensors")
    assert str(tmp_path / "w.pt") in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out.safetensors").exists()


class Payload:
    def __reduce__(self):
        return open, (Payload.target, "w")


def test_pickled_code_is_refused_and_not_run(plain, tmp_path):
    Payload.target = str(tmp_path / "was_run")
    torch.save({"state_dict": plain, "x": Payload()}, tmp_path / "payload.pt")
    with pytest.raises(
        InputError, match=r"refused, because .* any code: it holds pickled objects \(.*open\).*torch\.save"
    ):
        checkpoint.convert(tmp_path / "payload.pt", tmp_path / "out.safetensors")
    assert not (tmp_path / "was_run").exists()


def test_whole_modules_and_scripts_are_refused_with_the_way_out(network, plain, tmp_path):
    torch.save(network, tmp_path / "module.pt")
    torch.save({"state_dict": plain, "args": SimpleNamespace(lr=1)}, tmp_path / "args.pt")
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.script(network), tmp_path / "script.pt")
        for name, what in (("module", "ResNet"), ("args", "types.SimpleNamespace"), ("script", "TorchScript")):
            with pytest.raises(InputError, match=f"{what}.*NEW.pt"):
                checkpoint.convert(tmp_path / f"{name}.pt", tmp_path / "out.safetensors")


@pytest.mark.parametrize("name", ["module.pt", "args.pt"])
def test_the_advised_command_works(name, network, plain, tmp_path, monkeypatch):
    content = network if name == "module.pt" else {"state_dict": plain, "args": SimpleNamespace(lr=1)}
    torch.save(content, tmp_path / name)
    with pytest.raises(InputError) as error:
        checkpoint.convert(tmp_path / name, tmp_path / "out.safetensors")
    advice = str(error.value).partition('-c "')[2].removesuffix('"').replace("OLD", name)
    monkeypatch.chdir(tmp_path)
    exec(advice, {})
    assert checkpoint.convert(tmp_path / "NEW.pt", tmp_path / "out.safetensors")["dropped"] == ["fc.bias", "fc.weight"]


def test_damaged_files_and_absent_ones(plain, tmp_path):
    torch.save(plain, tmp_path / "whole.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:50_000])
    (tmp_path / "text.pt").write_text("hello, this is no checkpoint")
    (tmp_path / "empty.pt").write_bytes(b"")
    save_file(plain, tmp_path / "whole.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:50_000])
    for name in ("cut.pt", "text.pt", "empty.pt"):
        with pytest.raises(InputError, match=rf"{name}: not a checkpoint that torch can read"):
            checkpoint.convert(tmp_path / name, tmp_path / "out.safetensors")
    with pytest.raises(InputError, match=r"cut\.safetensors: not a safetensors file"):
        checkpoint.convert(tmp_path / "cut.safetensors", tmp_path / "out.safetensors")
    with pytest.raises(InputError, match="no such file"):
        checkpoint.convert(tmp_path / "none.pt", tmp_path / "out.safetensors")


def test_command(plain, tmp_path, capsys):
    torch.save(plain, tmp_path / "mine.pt")
    arguments = ["backbone", "--checkpoint", str(tmp_path / "mine.pt"), "--out", str(tmp_path / "o.safetensors")]
    assert not cli.main(arguments)
    assert json.loads(capsys.readouterr().out)["origin"] == "checkpoint mine.pt"
