"""Hundreds of folds through one Snakemake call: the memory of the engine and of its workers stays what it was."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml
from faults import material
from workflow.project import copied

MOST_GROWTH = 0.10  # of memory, from the early folds to the last
# Stands before the command `fedn-pipeline` and notes the largest memory (kB) that each of its processes ever had.
SHIM = """#!{python} -IS
import fcntl, resource, subprocess, sys
status = subprocess.run([{command!r}, *sys.argv[1:]]).returncode
with open({log!r}, "a") as log:
    fcntl.flock(log, fcntl.LOCK_EX)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=log)
sys.exit(status)
"""
TINY = {
    "dataset": {"reader": "rehearsal"},
    "windows": {"train_stride": 128, "test_stride": 128},
    "model": material.NARROW,
    "training": {"steps": 1, "batch_size": 2, "held_out_fraction": 0.01, "log_every": 1},
}


def soaked(project, n_folds, experiment, printed):
    """Run `n_folds` folds of an experiment in one call.

    Returns `(engine [k, 2]: folds finished, kB; workers [n_folds] kB)`, by time.
    """
    copied(project)
    (project / "config/datasets/soak.yaml").write_text(yaml.safe_dump({**TINY, "run": {"experiments": [experiment]}}))
    videos, _ = material.tables(project / "data/soak", subjects=n_folds, n_frames=140)
    (project / "data/soak/data_issues.csv").write_text("video_id,row,rule,before,after\n")
    material.write_features(project / "data/soak/features/resnet18.h5", videos)

    programs = Path(sys.executable).parent
    log, shim = project / "peaks.txt", project / "bin/fedn-pipeline"
    log.touch()
    shim.parent.mkdir()
    shim.write_text(SHIM.format(python=sys.executable, command=str(programs / shim.name), log=str(log)))
    shim.chmod(0o755)
    path = os.pathsep.join([str(shim.parent), str(programs), os.environ["PATH"]])
    environment = {**os.environ, "PYTHONPATH": str(project), "PATH": path}
    targets = [f"results/soak/annotated/{experiment}/seed0/folds/{subject}/fold.json" for subject in videos.subject]
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *targets]
    engine = []
    with open(printed, "w") as output:
        snakemake = subprocess.Popen(command, cwd=project, env=environment, stdout=output, stderr=subprocess.STDOUT)
        while snakemake.poll() is None:
            finished, memory = len(log.read_text().splitlines()), _resident(snakemake.pid)
            if memory:  # none: it has ended since
                engine.append((finished, memory))
            time.sleep(0.2)
    assert snakemake.returncode == 0, printed.read_text()[-6000:]
    return np.array(engine), np.array(log.read_text().split(), dtype=int)


def _resident(process):
    """Resident memory of a process in kB, 0 after its end."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return 0
    return int(status.partition("VmRSS:")[2].split()[0]) if "VmRSS:" in status else 0


def test_memory_stays_flat(full, tmp_path, record_property):
    n_folds, early, around = (500, 50, 5) if full else (24, 8, 2)
    experiment = "chance" if full else "fedn"  # to start torch 500 times takes half an hour
    engine, workers = soaked(tmp_path, n_folds, experiment, tmp_path / "printed.txt")
    assert len(workers) == n_folds
    assert len(list(tmp_path.glob(f"results/soak/annotated/{experiment}/seed0/folds/*/fold.json"))) == n_folds
    finished, memory = engine.T

    def of_engine(first, last):
        return np.median(memory[(finished >= first) & (finished <= last)])

    then, now = of_engine(early - around, early + around), of_engine(n_folds - 2 * around, n_folds - 1)
    each = np.median(workers[early - around : early + around]), np.median(workers[-2 * around :])
    figures = (
        f"{n_folds} folds of {experiment} in one call; engine {then / 1024:.1f} MB around fold {early}, "
        f"{now / 1024:.1f} MB at the end "
        f"({now / then - 1:+.1%}), highest {memory.max() / 1024:.1f} MB; workers' peaks {each[0] / 1024:.1f} and "
        f"{each[1] / 1024:.1f} MB ({each[1] / each[0] - 1:+.1%}), highest {workers.max() / 1024:.1f} MB"
    )
    record_property("soak", figures)
    assert now <= then * (1 + MOST_GROWTH), figures
    assert each[1] <= each[0] * (1 + MOST_GROWTH), figures
