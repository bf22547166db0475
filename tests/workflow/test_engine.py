"""What Snakemake makes of the workflow, with jobs that only write empty files (benchmarks/engine.py)."""

import re
import shutil

import pytest
from project import REPOSITORY

EVERY = {"faces": 6, "backbone": 1, "features_part": 1, "features": 1, "folds": 9, "detections": 9, "results": 1}


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    """`miniature(name)`: a project of 6 videos, 3 folds and 3 experiments in which nothing has been computed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY / "benchmarks")
        import engine

        yield lambda name: engine.Project(tmp_path_factory.mktemp(name), 6, 3)


def planned(project, **changed):
    """How many jobs of each rule a dry run plans with these sections of the configuration changed."""
    kept, project.config = project.config, {**project.config, **changed}
    output, *_ = project.snakemake("--dry-run")
    project.config = kept
    table = output.partition("Job stats:")[2].partition("\n\n")[0]
    return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, re.M) if rule != "total"}


def wrap(project, script):
    """Shell lines that run before the jobs' command, with its arguments."""
    command = project.folder / "bin" / "fedn-pipeline"
    command.rename(command.with_name("original"))
    command.write_text(f'#!/bin/sh\ncd "{project.folder}"\n{script}\nexec "{command.parent}/original" "$@"\n')
    command.chmod(0o755)


def test_each_job_runs_once_and_again_where_its_input_changed(miniature):
    project = miniature("whole")
    assert planned(project) == EVERY
    project.snakemake()
    assert planned(project) == {}
    assert planned(project, faces={"smoothing_s": 0.1}) == {rule: n for rule, n in EVERY.items() if rule != "backbone"}
    shutil.rmtree(project.folder / "results/casme3/annotated/fedn/seed0/folds/spNO.1")
    assert planned(project) == {"folds": 1, "detections": 1, "results": 1}


def test_one_bad_video_stops_no_other(miniature):
    project = miniature("bad")
    wrap(project, 'case "$*" in *"--video-id spNO.1_v0004"*) exit 2 ;; esac')
    with pytest.raises(RuntimeError, match="faces"):
        project.snakemake()
    crops = {path.name for path in (project.folder / "data/casme3/crops").glob("*.mp4")}
    assert len(crops) == 5 and "spNO.1_v0004.mp4" not in crops


COUNT = """
[ "$1" = folds ] || exec bin/original "$@"
mkdir -p running; : > running/$$
ls running | wc -l >> counts
"""


def test_folds_share_a_gpu_by_its_slots(miniature, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    project = miniature("slots")
    (project.folder / "bin" / "nvidia-smi").symlink_to("fedn-pipeline")  # the sign of a GPU
    wrap(project, COUNT + "sleep 0.5; rm running/$$")
    project.snakemake("--cores", "4")
    counts = [int(line) for line in (project.folder / "counts").read_text().split()]
    assert len(counts) == 9 and max(counts) <= 2


WAIT = """
for _ in $(seq 300); do
    [ $(ls running | wc -l) -lt 3 ] || : > three
    [ -e three ] && break
    sleep 0.1
done
rm running/$$
"""


def test_without_a_gpu_slots_limit_nothing(miniature, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    project = miniature("cpu")
    wrap(project, COUNT + WAIT)
    project.snakemake("--cores", "4")
    assert (project.folder / "three").exists()
