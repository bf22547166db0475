"""The doctor's page: what it says of data sets that are there, half there, and not there."""

import shutil
from pathlib import Path

import pytest
import yaml

from fedn_pipeline import cli, config, doctor
from fedn_pipeline.features import backends
from fedn_pipeline.files import InputError

CONFIG = Path(__file__).resolve().parent.parent / "config"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the configuration; the current folder is the project's."""
    shutil.copytree(CONFIG, tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configure(project, name, **sections):
    """Change a data set's file as a user would."""
    path = project / f"config/datasets/{name}.yaml"
    settings = yaml.safe_load(path.read_text())
    for section, keys in sections.items():
        settings.setdefault(section, {}).update(keys)
    path.write_text(yaml.safe_dump(settings))


def lines(text, word):
    return [line for line in text.splitlines() if word in line]


def test_a_fresh_clone_can_run_the_demo_and_says_what_the_rest_lacks(project, capsys):
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    for title in ("This machine", "Data sets", "Weights", "Disk", "Commands"):
        assert title in text
    assert "computed by" in text
    demo = lines(text, "results/demo_table.csv")
    assert len(demo) == 1 and demo[0].lstrip().startswith("ok") and "possible" in demo[0]
    casme3 = lines(text, "results/casme3_table.csv")[0]
    assert casme3.lstrip().startswith("--") and "dataset.root in config/datasets/casme3.yaml" in casme3


def test_a_wrong_root_and_wrong_weights_are_named(project):
    configure(project, "casme2", dataset={"root": "nowhere"})
    configure(project, "demo", backbone={"checkpoint": "absent.pth"})
    text = doctor.page(Path("config"))
    assert "nowhere: no such folder" in lines(text, "results/casme2_table.csv")[0] + text
    assert lines(text, "results/casme2_table.csv")[0].lstrip().startswith("--")
    assert any(line.lstrip().startswith("!!") and "absent.pth" in line for line in text.splitlines())
    assert "lacks" in lines(text, "results/demo_table.csv")[0]


def test_what_computes_the_features_is_named(monkeypatch):
    settings = config.validate({})["backbone"]
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    by_rule, asked = (doctor.embedding(settings | {"backend": name}) for name in ("auto", "openvino"))
    assert by_rule.mark == "ok" and "computed by torch" in by_rule.text
    assert asked.mark == "!!" and "openvino is not installed" in asked.text


def test_openface_is_asked_for_only_where_it_is_configured(project, tmp_path):
    settings = config.validate({"openface": {"binary": "no_such_program"}})
    assert doctor.openface("x", settings).mark == doctor.ABSENT
    settings["faces"]["aligner"] = "openface"
    found = doctor.openface("x", settings)
    assert found.mark == doctor.BAD and "no_such_program" in found.text
    program = tmp_path / "FeatureExtraction"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    settings["openface"]["binary"] = str(program)
    assert doctor.openface("x", settings).mark == doctor.GOOD
    settings["faces"]["aligner"] = "openface_output"
    settings["openface"]["output"] = "nowhere"
    assert doctor.openface("x", settings).mark == doctor.BAD


def test_an_empty_affectnet_is_no_weights(project):
    (project / "empty").mkdir()
    configure(project, "demo", pretrain={"stills": "affectnet", "affectnet": "empty"})
    assert "neither of its layouts" in lines(doctor.page(Path("config")), "results/demo_table.csv")[0]


def test_two_subjects_are_too_few_and_it_is_said_now(project):
    """One is left out, one chooses the threshold: a third must train."""
    (project / "videos").mkdir()
    (project / "data/custom").mkdir(parents=True)
    (project / "data/custom/videos.csv").write_text("video_id,subject,n_frames,fps\na,p,100,30\nb,q,100,30\n")
    (project / "data/custom/events.csv").write_text("video_id,onset,offset,emotion\na,10,20,fear\n")
    configure(project, "custom", dataset={"root": "videos"})
    line = lines(doctor.page(Path("config")), "results/custom_table.csv")[0]
    assert "1 subject(s) are left to train on" in line and "fedn_split" in line


def test_recognition_without_emotions_is_said_before_any_computing(project):
    (project / "videos").mkdir()
    (project / "data/custom").mkdir(parents=True)
    head = "video_id,subject,n_frames,fps\n"
    (project / "data/custom/videos.csv").write_text(head + "a,p,100,30\nb,q,100,30\nc,r,100,30\n")
    (project / "data/custom/events.csv").write_text("video_id,onset,offset\na,10,20\n")
    configure(project, "custom", dataset={"root": "videos"})
    assert "emotions in the annotations" in lines(doctor.page(Path("config")), "results/custom_table.csv")[0]
    configure(project, "custom", model={"recognition": False})
    assert "possible" in lines(doctor.page(Path("config")), "results/custom_table.csv")[0]


def test_disk_grows_with_frames_and_folds(project):
    settings = config.resolve(Path("config"), "casme3")
    one = doctor.DataSet("x", "", [], videos=10, frames=10_000, steps=10_000, subjects=5)
    two = doctor.DataSet("x", "", [], videos=10, frames=20_000, steps=20_000, subjects=5)
    small, large = (doctor.disk(found, settings, Path("config")) for found in (one, two))
    assert large["faces"] == 2 * small["faces"] and large["features"] == 2 * small["features"]
    assert small["folds"] >= 5 * doctor.CHECKPOINT_BYTES / doctor.GIB  # one network per subject; chance has none
    assert small["folds"] < 10 * doctor.CHECKPOINT_BYTES / doctor.GIB


def test_outside_a_project_it_says_so(tmp_path):
    with pytest.raises(InputError, match="no data sets"):
        doctor.page(tmp_path)
