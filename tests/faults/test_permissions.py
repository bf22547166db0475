"""Inputs and outputs that another user may not touch, and inputs that vanish: one clear line with the file's name.

Permissions do not bind root: where root runs the tests, commands run without what lets it pass over them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from faults import material
from faults.commands import BOUND, Commands, files_of, message
from workflow.project import copied, run

from fedn_pipeline import cli
from fedn_pipeline.faces import alignment

FEW = ["faces", "features", "folds", "detections", "results", "report"]


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        every = metafunc.config.getoption("--full")
        metafunc.parametrize("name", material.NAMES if every else FEW)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    if os.geteuid() == 0 and not shutil.which(BOUND[0]):
        pytest.skip(f"NOT TESTED: root without `{BOUND[0]}` cannot be bound by permissions; run as another user")
    with Commands(tmp_path_factory.mktemp("printed"), bound=True) as running:
        yield running


@pytest.fixture(scope="module")
def prepared(commands, tmp_path_factory):
    return material.prepared(tmp_path_factory.mktemp("material"), commands)


def written(folder):
    """What a command has left below `out/`."""
    return files_of(folder / "out") if (folder / "out").is_dir() else {}


def test_an_output_folder_that_may_not_be_written(name, commands, prepared, tmp_path):
    (tmp_path / "out").mkdir(mode=0o555)
    said = message(commands.run(*prepared[name].arguments, cwd=tmp_path))
    assert ": out/" in said and "Permission denied" in said
    assert not written(tmp_path)


def test_an_input_that_may_not_be_read(name, commands, prepared, tmp_path, record_property):
    every = [*prepared[name].inputs, *prepared[name].optional]
    for path in every:
        path.chmod(0)
        try:
            said = message(commands.run(*prepared[name].arguments, cwd=tmp_path))
        finally:
            path.chmod(0o644)
        listed = "is not a readable picture" in said  # of many stills, each in a line
        assert str(path) in said and ("ermission denied" in said or listed), (path, said)
    record_property("unreadable inputs", f"{len(every)}, each named")


def test_an_input_that_has_vanished(name, commands, prepared, tmp_path, record_property):
    for path in prepared[name].inputs:
        gone = path.rename(path.with_name("gone"))
        try:
            said = message(commands.run(*prepared[name].arguments, cwd=tmp_path))
        finally:
            gone.rename(path)
        of_fold = (
            path.name == "fold.json" and "videos tested not exactly once: ['v0']" in said
        )  # by which a fold is found
        assert (str(path.parent) in said and path.name in said) or of_fold, (path, said)
    record_property("vanished inputs", f"{len(prepared[name].inputs)}, each named")


def test_a_video_that_vanishes_between_its_two_passes(tmp_path, monkeypatch, capsys):
    """Landmarks come from the first, crops from the second."""
    material.write_video(tmp_path / "clip.mp4")
    write = alignment.write

    def write_and_delete(path, table):
        write(path, table)
        (tmp_path / "clip.mp4").unlink()

    monkeypatch.setattr(alignment, "write", write_and_delete)
    assert cli.main(["faces", str(tmp_path / "clip.mp4"), "--out", str(tmp_path / "out")]) == 2
    assert f"fedn-pipeline faces: {tmp_path}/clip.mp4: no such video file" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.mp4")) and not list((tmp_path / "out").rglob(".*"))


def test_a_video_that_is_cut_while_it_is_read(tmp_path, monkeypatch, capsys):
    """Half of its bytes vanish between the passes: no crops of other frames than the table's."""
    material.write_video(tmp_path / "clip.mp4")
    write = alignment.write

    def write_and_cut(path, table):
        write(path, table)
        os.truncate(tmp_path / "clip.mp4", (tmp_path / "clip.mp4").stat().st_size // 2)

    monkeypatch.setattr(alignment, "write", write_and_cut)
    assert cli.main(["faces", str(tmp_path / "clip.mp4"), "--out", str(tmp_path / "out")]) == 2
    assert "clip.mp4" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.mp4")) and not list((tmp_path / "out").rglob(".*"))


def test_an_input_that_vanishes_between_planning_and_running(tmp_path, record_property):
    """Snakemake has planned with it; its job tells what is gone, and the next run with it is as if nothing had been."""
    project = material.rehearsal(copied(tmp_path))
    cache, target = project / "data/rehearsal/features/resnet18.h5", "results/rehearsal/annotated/chance/seed0/folds/p0"
    shim = project / "bin/fedn-pipeline"
    shim.parent.mkdir()
    real = Path(sys.executable).parent / shim.name
    shim.write_text(f'#!/bin/sh\nmv "{cache}" "{cache}.gone"\nexec "{real}" "$@"\n')
    shim.chmod(0o755)
    path = os.pathsep.join([str(shim.parent), str(real.parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", f"{target}/fold.json"], cwd=project, text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": str(project), "PATH": path},
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode and "fedn-pipeline folds: data/rehearsal/features/resnet18.h5: " in said, said[-3000:]
    assert "Traceback (most recent call" not in said
    assert not list((project / target).glob("*.json"))
    cache.with_name("resnet18.h5.gone").rename(cache)
    assert run(project, f"{target}/fold.json").returncode == 0
    record_property("vanished inputs", "1 after planning, named by its job")
