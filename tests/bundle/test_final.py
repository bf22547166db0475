"""The final model learns from all subjects, and from nothing that nobody has labelled or that could not be read."""

import h5py
import pandas as pd
import pytest
from bundle import planted_results

from fedn_pipeline import config, files
from fedn_pipeline.bundle import choice
from fedn_pipeline.files import InputError
from fedn_pipeline.training import final

NAMES = ("checkpoint.safetensors", "training_log.csv", "final.json")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return planted_results.features(tmp_path_factory.mktemp("planted"))


def run(planted, folder, **sections):
    videos, events, cached = planted
    final.run(videos, events, events[:0], cached, folder, planted_results.settings(**sections), 0)
    return files.read_json(folder / "final.json")


def test_it_learns_from_everybody_and_repeats_byte_for_byte(planted, tmp_path):
    record = run(planted, tmp_path / "a")
    run(planted, tmp_path / "b")
    assert all(files.sha256(tmp_path / "a" / name) == files.sha256(tmp_path / "b" / name) for name in NAMES)
    assert record["learnt_from"] == {
        "subjects": 3, "videos": 3, "minutes": 0.43, "expressions": {"anger": 6, "happiness": 3},
        "expressions_without_emotion": 0,
    }  # fmt: skip
    assert record["classes"] == record["names"] == ["anger", "happiness"]
    assert record["embedding"] == {"input_size": 48, "mean": [0.5] * 3}
    assert record["feature_width"] == planted_results.WIDTH
    log = pd.read_csv(tmp_path / "a/training_log.csv")
    assert log.step.tolist() == [2, 3] and "held_out_loss" not in log
    assert not list(tmp_path.rglob("resume.safetensors"))


def test_a_video_left_out_is_not_learnt_from(planted, tmp_path):
    videos, events, cached = planted
    copied = tmp_path / "blendshapes.h5"
    copied.write_bytes(cached.read_bytes())
    with h5py.File(copied, "r+") as file:
        file["v1"].attrs["left_out"] = "cannot be decoded"
        file["v1/features"][:] = 7  # what would be learnt of it would show
    record = run((videos, events, copied), tmp_path / "left_out")
    assert record["left_out"] == {"v1": "cannot be decoded"} and record["learnt_from"]["videos"] == 2
    others = videos[videos.video_id != "v1"], events[events.video_id != "v1"], cached
    run(others, tmp_path / "others")
    assert files.sha256(tmp_path / "left_out" / NAMES[0]) == files.sha256(tmp_path / "others" / NAMES[0])


def test_what_a_plain_split_only_predicts_is_not_learnt_from(planted):
    videos = planted[0].assign(split=["train", "predict", "train"])
    parts = final.taught_by(videos, {"group": "split", "held_out": ["predict"]}, {})
    assert parts.train == ("v0", "v2") and parts.held_out == parts.test == ()
    assert final.taught_by(videos, {"group": "split", "held_out": None}, {"v2": "cut"}).train == ("v0", "v1")


def test_nothing_to_learn_is_refused(planted, tmp_path):
    videos, events, cached = planted
    with pytest.raises(InputError, match=r"the final model: no expression that names an emotion in the 3 video"):
        run((videos, events[:0], cached), tmp_path)


@pytest.mark.parametrize(
    "section, said",
    [
        ({"folds": {"method": "classic"}}, "only FEDN's own networks become final models"),
        ({"backbone": {"name": "resnet18_demo_without_{photograph}"}}, "each fold has a backbone of its own"),
        ({"dataset": {"reader": "rehearsal"}}, "made up"),
        ({"model": {"clip_features": True}}, "no I3D"),
        ({"backbone": {"name": "regions_gap1"}}, "regions_gap1: `detect` computes no optical flow"),
        ({"backbone": {"name": "flow_gap{gap}"}}, "each fold has a backbone of its own"),
        ({"run": {"experiments": ["chance"]}}, r"not among run\.experiments \(chance\)"),
    ],
)
def test_experiments_without_a_final_model_are_refused(section, said):
    choice.check_bundle("fedn", planted_results.settings())
    with pytest.raises(InputError, match=f"^fedn: .*{said}"):
        choice.check_bundle("fedn", config.validate(config.merge(planted_results.settings(), section)))
