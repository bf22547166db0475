"""Killed with SIGKILL at random moments: after running again, every file is that of an undisturbed run to the byte."""

import json
import random
import shutil
import sys
import time

import pytest
from faults import killing, small
from faults.commands import content
from workflow.project import run, snakemake

from fedn_pipeline import files
from fedn_pipeline.training import resume

VIDEOS = ("s00_0", "s01_0", "s02_0")
TABLES = ("--videos", "data/custom/videos.csv", "--events", "data/custom/events.csv")
FOLDS = "results/custom/annotated/fedn/seed0/folds"
TRAINING = {**small.SMALL["training"], "steps": 150, "log_every": 25}
NOT_COMPARED = {".log", ".tsv"}  # times and speeds


def everything(folder):
    """`{path: bytes}` of all that a run has made; of a measurement the names of its fields."""
    found = (path for name in ("data", "results") for path in (folder / name).rglob("*"))
    return {
        str(path.relative_to(folder)): content(path)
        for path in found
        if path.is_file() and path.suffix not in NOT_COMPARED and path.name != "README.md"
    }


def differing(one, other):
    """Names of what is not the same in both."""
    return sorted(name for name in one | other if one.get(name) != other.get(name))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A project after an undisturbed run."""
    folder = small.project(tmp_path_factory.mktemp("kills"), training=TRAINING, run={"experiments": ["fedn"]})
    done = run(folder, "--notemp", small.TABLE)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def commands():
    """`{stage: (its command, the files that it makes)}`, as the rules give them."""
    program = [sys.executable, "-m", "fedn_pipeline.cli"]
    settings = {**small.SMALL, "training": TRAINING, "run": {"experiments": ["fedn"]}}
    settings.pop("folds")  # no setting of a network's fold, whose checkpoint keeps what it was given
    given = ["--settings", json.dumps(settings)]
    part = "data/custom/features/resnet18/part0.h5"
    fold = [
        f"{FOLDS}/s00/{name}" for name in ("checkpoint.safetensors", "training_log.csv", "predictions.h5", "fold.json")
    ]
    weights = ["--faces", "data/custom", "--weights", "data/custom/backbones/resnet18.safetensors"]
    features = [*TABLES[:2], "--only", *VIDEOS[:2], *weights]
    folds = [*TABLES, "--features", "data/custom/features/resnet18.h5", "--held-out", "s00", "--seed", "0"]
    merge = ["--merge", part, "data/custom/features/resnet18/part1.h5"]
    results = ["--dataset", "custom", "--folder", "results/custom/annotated"]
    faces = [f"data/custom/{name}" for name in ("alignment/s00_0.csv", "alignment/s00_0.json", "crops/s00_0.mp4")]
    table = [f"results/custom_table{end}" for end in (".csv", ".md", ".tex", "_differences.csv")]
    return {
        "faces": ([*program, "faces", "raw/s00/s00_0.mp4", "--leave-out", "--out", "data/custom", *given], faces),
        "features": ([*program, "features", *features, "--out", part, *given], [part]),
        "merge": (
            [*program, "features", *merge, "--out", "data/custom/features/resnet18.h5"],
            ["data/custom/features/resnet18.h5"],
        ),
        "folds": ([*program, "folds", *folds, "--out", f"{FOLDS}/s00", *given], fold),
        "results": ([*program, "results", *TABLES, *results, "--out", "results/custom_table", *given], table),
    }


@pytest.mark.parametrize("stage", commands())
def test_a_killed_command_leaves_nothing_half_and_its_next_run_the_same_bytes(
    undisturbed, stage, full, record_property
):
    command, outputs = commands()[stage]
    before, times = everything(undisturbed), 10 if full else 2
    draw, log, lived = random.Random(stage), undisturbed / f"{stage}.log", 0
    started = time.monotonic()
    assert killing.start(command, undisturbed, log).wait() == 0, log.read_text()
    took = (time.monotonic() - started) * (1 if full else 0.6)  # two kills must not both come after the end
    assert differing(before, everything(undisturbed)) == []  # the command alone gives what the workflow gave
    for _ in range(times):
        for name in outputs:
            (undisturbed / name).unlink()
            files.checksum_path(undisturbed / name).unlink()
        lived += killing.killed_after(command, undisturbed, log, draw.uniform(0, took))
        for name in outputs:
            if files.checksum_path(undisturbed / name).exists():
                assert files.damage(undisturbed / name) is None, name
        assert killing.start(command, undisturbed, log).wait() == 0, log.read_text()
        assert differing(before, everything(undisturbed)) == []
    assert lived
    record_property(f"SIGKILL during `{stage}`", f"{lived} of {times} hit it running, {times} byte-identical")


def test_a_killed_training_goes_on_from_its_last_epoch(undisturbed, full, record_property):
    command, _ = commands()["folds"]
    before, log, times = everything(undisturbed), undisturbed / "resume.log", 10 if full else 2
    saved = undisturbed / FOLDS / "s00" / resume.NAME
    draw, went_on = random.Random(0), 0
    for _ in range(times):
        log.write_text("")
        for _ in range(2):  # the second time after it has gone on
            age = saved.stat().st_mtime_ns if saved.exists() else 0
            killing.killed_after(
                command,
                undisturbed,
                log,
                draw.uniform(0, 0.3),
                lambda age=age: saved.exists() and saved.stat().st_mtime_ns > age,
            )
        assert killing.start(command, undisturbed, log).wait() == 0, log.read_text()
        went_on += log.read_text().count("training goes on after step")
        assert differing(before, everything(undisturbed)) == []
    assert went_on >= times
    record_property(
        "training", f"{2 * times} kills, went on {went_on} times, weights byte-identical {times} of {times}"
    )


def test_the_workflow_killed_fifty_times(undisturbed, tmp_path, full, record_property):
    """Engine and jobs together, the engine alone, or one job alone; a stage's files are taken away in between."""
    if not full:
        pytest.skip("half an hour: make faults")
    before, draw = everything(undisturbed), random.Random(0)
    project, log = shutil.copytree(undisturbed, tmp_path / "copy"), tmp_path / "snakemake.log"
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--notemp", small.TABLE]
    stages = ("data/custom/crops", "data/custom/features", "results/custom", small.TABLE)
    kills = {"all": 0, "engine": 0, "job": 0}
    while sum(kills.values()) < 50:
        if (project / small.TABLE).exists():
            place = project / draw.choice([name for name in stages if (project / name).exists()])
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        process, what = killing.start(command, project, log), draw.choice(list(kills))
        time.sleep(draw.uniform(2, 20))
        family = killing.descendants(process.pid)
        if process.poll() is None:
            killing.kill({"all": family, "engine": [process.pid], "job": family[:1]}[what])
            kills[what] += 1
        process.wait()  # if a job was killed, the engine ends by itself
        assert run(project, "--unlock").returncode == 0
    crops = [f"data/custom/crops/{video}.mp4" for video in VIDEOS]  # nobody asks for them once the features are there
    done = run(project, "--notemp", small.TABLE, *crops)
    assert done.returncode == 0, done.stdout + done.stderr
    assert differing(before, everything(project)) == []
    assert "Nothing to be done" in snakemake(project, "--notemp", small.TABLE)
    record_property("SIGKILL of the workflow", f"{kills}: all files byte-identical to an undisturbed run")
