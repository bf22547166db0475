"""A clock that jumps: files from tomorrow, and a time that goes backwards while a command runs."""

import os
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pandas as pd
import pytest
import tqdm
from faults import material
from faults.commands import files_of
from workflow.project import copied, run

from fedn_pipeline import cli

DAY = 86400
TARGET = "results/rehearsal/annotated/chance/seed0/folds/p0/detections.csv"
CHOSEN = ["--config", "folds={chance_draws: 3}"]
LIBRARY = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def made(project):
    """What the fold has written, without its log and measurement."""
    every = files_of((project / TARGET).parent)
    return {name: content for name, content in every.items() if not name.endswith((".log", ".tsv"))}


def set_time(path, seconds):
    os.utime(path, (seconds, seconds))


def test_intermediate_files_from_tomorrow_end_runs_and_change_no_result(tmp_path, record_property):
    """Small ones are compared by content: nothing runs again. Of a large one Snakemake says that its time is wrong, as
    often as it is asked, and ends; with its time put right the result is the same."""
    project = material.rehearsal(copied(tmp_path))
    cache = project / "data/rehearsal/features/resnet18.h5"
    material.write_features(cache, pd.read_csv(project / "data/rehearsal/videos.csv"), width=1500)
    assert cache.stat().st_size > 2 * 10**6  # beyond what Snakemake compares by content
    assert run(project, TARGET, *CHOSEN).returncode == 0
    wanted = made(project)

    set_time(project / "data/rehearsal/events.csv", time.time() + DAY)
    done = run(project, TARGET, *CHOSEN)
    assert done.returncode == 0 and "Nothing to be done" in done.stderr and made(project) == wanted
    set_time(cache, time.time() + DAY)
    done = run(project, TARGET, *CHOSEN)
    said = done.stdout + done.stderr
    assert done.returncode and "has older modification time" in said and "features/resnet18.h5" in said
    assert "clock skew" in said
    assert all(wanted[name] == content for name, content in made(project).items())
    for path in (cache, project / "data/rehearsal/events.csv"):
        set_time(path, time.time())
    assert run(project, TARGET, *CHOSEN).returncode == 0
    assert made(project) == wanted
    done = run(project, TARGET, *CHOSEN)
    assert "Nothing to be done" in done.stderr
    record_property("clock", "2 inputs from tomorrow: every call ended, the result is the same")


@pytest.fixture
def fold(tmp_path):
    """Arguments of a fold of the network that writes to `tmp_path/NAME`."""
    videos, _ = material.tables(tmp_path)
    material.write_features(tmp_path / "features.h5", videos)

    def arguments(name):
        described = ["--videos", tmp_path / "videos.csv", "--events", tmp_path / "events.csv", "--features"]
        out = ["--held-out", "p0", "--out", tmp_path / name]
        training = {"steps": 30, "batch_size": 2, "log_every": 5}
        command = ["folds", *described, tmp_path / "features.h5", *out, *material.settings(training=training)]
        return list(map(str, command))

    return arguments


def test_progress_survives_a_clock_that_goes_back(fold, tmp_path, monkeypatch, capsys):
    """Every look at the clock finds it an hour earlier."""
    assert cli.main(fold("steady")) == 0
    hours = count()
    monkeypatch.setattr(tqdm.std, "time", lambda: 1e9 - 3600 * next(hours))
    monkeypatch.setattr(time, "time", lambda: 1e9 - 3600 * next(hours))
    assert cli.main(fold("backwards")) == 0
    assert next(hours) > 10, "nobody has looked"
    assert files_of(tmp_path / "backwards") == files_of(tmp_path / "steady")
    assert "train without p0" in capsys.readouterr().err


def test_a_system_clock_that_jumps_while_a_fold_trains(fold, full, tmp_path, record_property):
    """libfaketime moves the whole process's clock a year ahead, then behind today. (After a jump back tqdm shows no
    progress until its clock is where it was; it computes on.)"""
    if not full:
        pytest.skip("full form only (--full)")
    if not LIBRARY:
        pytest.skip("NOT TESTED: libfaketime is not installed (Debian: apt-get install faketime)")
    assert cli.main(fold("steady")) == 0
    clock = tmp_path / "clock"
    clock.write_text("+0")
    environment = {
        **os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1]), "LD_PRELOAD": str(LIBRARY[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1",
        "TQDM_MININTERVAL": "0",
    }  # fmt: skip
    program = Path(sys.executable).parent / "fedn-pipeline"
    with open(tmp_path / "printed.txt", "w") as printed:
        process = subprocess.Popen([program, *fold("jumping")], env=environment, stdout=printed, stderr=printed)
        jumps = []
        for words, jump in (("0/30", "+365d"), ("/30 [", "-2d")):
            while words not in (tmp_path / "printed.txt").read_text() and process.poll() is None:
                time.sleep(0.01)
            clock.write_text(jump)
            jumps.append(process.poll() is None)
        assert process.wait() == 0, (tmp_path / "printed.txt").read_text()
    assert all(jumps), "it was over before its clock jumped"
    assert "Traceback" not in (tmp_path / "printed.txt").read_text()
    assert files_of(tmp_path / "jumping") == files_of(tmp_path / "steady")
    record_property("clock", "jumped a year ahead and back under a training: same bytes")
    shutil.rmtree(tmp_path / "jumping")
