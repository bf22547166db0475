"""The command init: what it finds, what can run on it, and that it never writes over somebody's work."""

import shutil
from pathlib import Path

import pytest
from dataset.own_videos import write_events, write_video

from fedn_pipeline import cli, config, init

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def folders(tmp_path):
    """`(config, videos)`: the shipped configuration, and three people's videos."""
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    for name in ("anna/a", "anna/b", "ben/c", "carl/d"):
        write_video(tmp_path / f"own/{name}.mp4", 20)
    return tmp_path / "config", tmp_path / "own"


def run(folders, *further):
    return cli.main(["init", str(folders[1]), "--config", str(folders[0]), *further])


EVERY = ["a,0,9,joy", "b,2,9,fear", "c,1,9,joy", "d,0,9,joy"]


def test_several_subjects(folders, capsys):
    write_events(folders[1], EVERY)
    assert run(folders) == 0
    said = capsys.readouterr().out
    assert "4 videos, 0.0 minutes, of 3 subject(s): anna (2), ben (1), carl (1)" in said
    assert "4 expressions in 4 of the videos: joy 3, fear 1" in said
    assert "snakemake --cores" in said and "results/custom_table.csv" in said
    every = config.resolve(folders[0], "custom")
    backbone = init._without_weights(folders[0])
    assert every["run"]["experiments"] == [backbone, "chance", "classic"]
    assert every["dataset"]["reader"] == "custom" and every["dataset"]["root"] == str(folders[1])
    assert every["model"]["recognition"] and every["training"]["steps"] == init.FEWEST_STEPS


def test_the_best_backbone_that_is_there(folders):
    write_events(folders[1], EVERY)
    layer = "backbone: {name: resnet18_own}\nmodel: {form: per_window}\n"
    (folders[0] / "experiments/blendshapes.yaml").write_text(layer)
    assert run(folders) == 0
    every = config.resolve(folders[0], "custom")
    assert every["run"]["experiments"] == ["blendshapes", "chance", "classic"]
    assert every["backbone"]["name"] == "resnet18_own" and every["model"]["form"] == "per_window"


def test_one_person_with_videos_to_predict(folders, capsys):
    shutil.rmtree(folders[1] / "ben"), shutil.rmtree(folders[1] / "carl")
    write_video(folders[1] / "anna/e.mp4", 20)
    write_events(folders[1], ["a,0,9,joy", "b,2,9,joy"])
    assert run(folders, "--name", "anna_alone") == 0
    assert config.resolve(folders[0], "anna_alone")["run"]["experiments"] == ["fedn_split"]
    assert "leave-one-subject-out needs" in capsys.readouterr().out


def test_expressions_without_emotions(folders, capsys):
    write_events(folders[1], ["a,0,9,", "b,2,9,", "c,1,9,", "d,0,9,"])
    assert run(folders) == 0
    assert not config.resolve(folders[0], "custom")["model"]["recognition"]
    assert config.resolve(folders[0], "custom")["run"]["experiments"] == ["fedn", "chance", "classic"]
    assert "no emotion is named" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no expressions are annotated"),
        (["a,0,9,joy"], "Put each person's videos into a subfolder"),
        (["a,0,99,joy"], "row 2: the interval ends after the last frame"),
    ],
)
def test_what_cannot_run_is_not_written(folders, capsys, rows, said):
    before = (folders[0] / "datasets/custom.yaml").read_text()
    write_events(folders[1], rows)
    assert run(folders) == 2
    assert said in capsys.readouterr().err
    assert (folders[0] / "datasets/custom.yaml").read_text() == before


def test_edited_configurations_stay(folders, capsys):
    write_events(folders[1], EVERY)
    path = folders[0] / "datasets/custom.yaml"
    assert run(folders) == 0 and run(folders) == 0  # its own, unedited, may be renewed
    path.write_text(path.read_text() + "# mine\n")
    edited = path.read_text()
    assert run(folders) == 2
    assert "custom.yaml: somebody has edited it" in capsys.readouterr().err and path.read_text() == edited
    assert run(folders, "--force") == 0 and path.read_text() != edited
    assert run(folders, "--name", "samm") == 2 and run(folders, "--name", "../x") == 2


def test_only_where_the_project_lies(folders, capsys):
    assert cli.main(["init", str(folders[1]), "--config", str(folders[1])]) == 2
    assert "config.yaml: no such file: call this where the project lies" in capsys.readouterr().err
