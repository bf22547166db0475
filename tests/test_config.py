"""The configuration: defaults, precedence, and every mistake named at once."""

from pathlib import Path

import pytest
import yaml

from fedn_pipeline import config
from fedn_pipeline.files import InputError

REPOSITORY = Path(__file__).resolve().parent.parent


def test_defaults_are_model_md():
    settings = config.validate({})
    assert settings["windows"]["segments"] == 64 and settings["training"]["learning_rate"] == 1e-4
    assert settings["model"]["level_strides"] == [8, 16, 32, 64] and settings["detections"]["nms_iou"] == 0.2


def test_every_key_has_a_default():
    def keys(node, place=()):
        for name, child in node.get("properties", {}).items():
            yield (*place, name), child
            yield from keys(child, (*place, name))

    missing = [".".join(place) for place, node in keys(config.schema()) if "default" not in node]
    assert missing == []


def test_all_mistakes_at_once_with_hints():
    with pytest.raises(InputError) as caught:
        config.validate({"trainig": {}, "training": {"stpes": 3, "batch_size": 0}}, where="my.yaml")
    text = str(caught.value)
    assert "my.yaml: unknown key `trainig`; did you mean `training`?" in text
    assert "unknown key `training.stpes`; did you mean `steps`?" in text
    assert "`training.batch_size`: 0 is less than the minimum of 1" in text


def test_later_layers_win(tmp_path):
    for name, layer in {
        "config.yaml": {"training": {"steps": 1, "epochs": 2}},
        "datasets/d.yaml": {"training": {"steps": 3}},
        "experiments/e.yaml": {"training": {"epochs": 4}},
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(yaml.safe_dump(layer))
    settings = config.resolve(tmp_path, "d", "e", {"training": {"batch_size": "5"}})["training"]  # Snakemake gives text
    assert (settings["steps"], settings["epochs"], settings["batch_size"]) == (3, 4, 5)
    with pytest.raises(InputError, match=r"nothing\.yaml: no such file; there are: d"):
        config.resolve(tmp_path, "nothing")


@pytest.mark.parametrize("text", ["{not json", "/no/such/file.yaml"])
def test_bad_settings_argument(text):
    with pytest.raises(InputError):
        config.from_argument(text)


@pytest.mark.parametrize("dataset", sorted(p.stem for p in (REPOSITORY / "config/datasets").glob("*.yaml")))
@pytest.mark.parametrize("experiment", sorted(p.stem for p in (REPOSITORY / "config/experiments").glob("*.yaml")))
def test_shipped_configurations_are_valid(dataset, experiment):
    settings = config.resolve(REPOSITORY / "config", dataset, experiment)
    shipped = {path.stem for path in (REPOSITORY / "config/experiments").glob("*.yaml")}
    assert set(settings["run"]["experiments"]) <= shipped
