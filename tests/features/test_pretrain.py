"""Pretraining on stills of ours: it learns, it repeats however the pictures are read, it refuses bad tables."""

import json
import urllib.error

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from torchvision.models import resnet18

from fedn_pipeline import config
from fedn_pipeline.features import backbone, pretrain, stills
from fedn_pipeline.files import InputError, sha256


def write_stills(folder, shared_identity=False):
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
    pd.DataFrame(rows, columns=stills.COLUMNS).to_csv(folder / "stills.csv", index=False)


def settings(steps=30, size=32, **pretraining):
    chosen = {"pretrain": {"steps": steps, "batch_size": 8, **pretraining}, "backbone": {"input_size": size}}
    return config.validate(chosen)


def test_learns(tmp_path, capsys):
    write_stills(tmp_path)
    log = pretrain.run(tmp_path, tmp_path / "w.safetensors", settings())
    assert log["validation_accuracy"] == 1.0 and log["confusion"] == [[4, 0], [0, 4]]
    assert (log["initial"], log["n_training"], log["n_validation"]) == ("random", 16, 8)
    printed = capsys.readouterr().out.split("a row per true emotion:\n")[1].splitlines()
    assert [line.split() for line in printed] == [
        ["happiness", "neutral", "found"], ["happiness", "4", "0", "100.0", "%"], ["neutral", "0", "4", "100.0", "%"],
    ]  # fmt: skip
    assert backbone.load(tmp_path / "w.safetensors")(torch.zeros(1, 3, 224, 224)).shape == (1, 512)
    assert backbone.origin(tmp_path / "w.safetensors") == "demo stills"


def test_repeats_whatever_memory_and_workers(tmp_path):
    """24 stills of 120 px take more than 1 MB: in the second and third run none is held."""
    write_stills(tmp_path)
    hashes = set()
    for number, (memory_mb, workers) in enumerate([(2000, 0), (1, 0), (1, 2)]):
        chosen = settings(3, 120, memory_mb=memory_mb, workers=workers)
        pretrain.run(tmp_path, tmp_path / f"{number}.safetensors", chosen)
        hashes.add(sha256(tmp_path / f"{number}.safetensors"))
    assert len(hashes) == 1


def test_draws_are_balanced_over_emotions():
    by_emotion = [np.arange(1000), np.array([1000]), np.array([1001, 1002])]
    generator = np.random.default_rng(0)
    chosen = np.concatenate([pretrain.draw(generator, by_emotion, 50).chosen for _ in range(60)])
    counts = [np.isin(chosen, indices).mean() for indices in by_emotion]
    assert counts == pytest.approx([1 / 3] * 3, abs=0.04)


def test_stills_of_a_held_out_photograph_are_left_out(tmp_path):
    write_stills(tmp_path)
    table = stills.read(tmp_path, "a", 1)
    assert len(table.paths) == 12 and table.notes == {"excluded_photograph": "a"}
    assert all(int(path.stem) // 2 % 2 == 1 for path in table.paths)
    with pytest.raises(InputError, match="no photograph `c`"):
        stills.read_table(tmp_path, exclude="c")


def test_identity_on_both_sides_is_refused(tmp_path):
    write_stills(tmp_path, shared_identity=True)
    with pytest.raises(InputError, match="identities in both splits"):
        stills.read_table(tmp_path)


def test_all_bad_rows_and_pictures_are_named_at_once(tmp_path):
    write_stills(tmp_path)
    (tmp_path / "3.jpg").write_bytes(b"no picture")
    (tmp_path / "20.jpg").unlink()
    with pytest.raises(InputError, match=r"row 5: .*3\.jpg is not a readable picture\n.*row 22: .*20\.jpg is not"):
        pretrain.run(tmp_path, tmp_path / "w.safetensors", settings())
    table = pd.read_csv(tmp_path / "stills.csv", dtype=str)
    table.loc[0, "path"], table.loc[4, "emotion"], table.loc[7, "split"] = "../../secret.jpg", "", "test"
    table.to_csv(tmp_path / "stills.csv", index=False)
    with pytest.raises(
        InputError, match=r"(?s)row 2: path .*leaves the folder.*row 6: no emotion.*row 9: split `test`"
    ):
        pretrain.run(tmp_path, tmp_path / "w.safetensors", settings())
    assert not (tmp_path / "w.safetensors").exists()


def test_emotion_without_training_still_and_empty_folder_are_refused(tmp_path):
    write_stills(tmp_path)
    table = pd.read_csv(tmp_path / "stills.csv")
    table.loc[(table.split == "train") & (table.emotion == "neutral"), "emotion"] = "anger"
    table.to_csv(tmp_path / "stills.csv", index=False)
    with pytest.raises(InputError, match="no training still of neutral"):
        pretrain.run(tmp_path, tmp_path / "w.safetensors", settings())
    (tmp_path / "stills.csv").unlink()
    with pytest.raises(InputError, match=r"neither stills\.csv .* nor AffectNet"):
        pretrain.run(tmp_path, tmp_path / "w.safetensors", settings())


def test_imagenet_weights_where_obtainable(tmp_path, monkeypatch):
    torch.manual_seed(5)
    imagenet = resnet18().state_dict()
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda url, **_: dict(imagenet))
    write_stills(tmp_path)
    chosen = settings(2, learning_rate=1e-9, initial="imagenet")
    log = pretrain.run(tmp_path, tmp_path / "w.safetensors", chosen)
    assert log["initial"] == "imagenet" and len(log["confusion"]) == 2
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        torch.testing.assert_close(file.get_tensor("layer1.0.conv1.weight"), imagenet["layer1.0.conv1.weight"])
        assert file.get_tensor("fc.weight").shape == (2, 512)


def test_imagenet_weights_that_cannot_be_loaded(tmp_path, monkeypatch, capsys):
    def refuse(url, **_):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    with pytest.raises(InputError, match=r"imagenet: torchvision cannot load them .*no network.*resnet18-.*\.pth"):
        pretrain.start_from("imagenet", "AffectNet")
    weights, initial = pretrain.start_from("auto", "AffectNet")
    assert weights is None and initial == "random (ImageNet's could not be loaded)"
    assert "WARNING: ImageNet's weights cannot be loaded" in capsys.readouterr().out
    assert pretrain.start_from("auto", "demo stills") == (None, "random") == pretrain.start_from("random", "AffectNet")


def test_metadata_name_no_place_on_this_machine(tmp_path):
    write_stills(tmp_path)
    pretrain.run(tmp_path, tmp_path / "w.safetensors", settings(2, affectnet="somebodys/affectnet"))
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        text = file.metadata()["fedn_pipeline"]
    assert "somebody" not in text and str(tmp_path) not in text
    assert json.loads(text)["mean"] == [0.485, 0.456, 0.406] and json.loads(text)["origin"] == "demo stills"
