"""Snakemake's own cost on a graph of CAS(ME)^3's size: dry run, no-op, and its share of the work, against limits.

    python benchmarks/engine.py [--quick]

1300 videos, 100 folds, 3 experiments in a temporary folder, and a quarter of it; `--quick` takes the quarter alone. The
jobs' command is replaced by one that only writes empty files, so what a run takes is the engine's own.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import options, report

REPOSITORY = Path(__file__).resolve().parent.parent
VIDEOS, FOLDS = 1300, 100
EXPERIMENTS = ["fedn", "without_window_attention", "without_segment_attention"]
LIMIT_S = 10  # for a dry run, and for a no-op
SHARE = 0.05  # of the work, for the engine
# Core hours without a GPU, rounded (docs/datasets.md, What it costs): faces and features; 30 epochs of one row.
VIDEO_HOURS, ROW_HOURS = 39 + 77, 1000
COMMAND = """#!/bin/sh
# Writes what the command of a stage would write, empty.
command=$1
shift
while [ $# -gt 0 ]; do
    case $1 in
        --out) out=$2 ;;
        --video-id) video=$2 ;;
    esac
    shift
done
case $command in
    faces)
        : > "$out/alignment/$video.csv"; : > "$out/crops/$video.mp4"
        echo '{"left_out": null}' > "$out/alignment/$video.json" ;;
    features) : > "$out"; : > "$out.sha256" ;;
    folds)
        cd "$out"; : > checkpoint.safetensors; : > training_log.csv; : > predictions.h5; : > cost.json; : > fold.json ;;
    detections) cd "$out"; : > detections.csv; : > threshold.json; : > detections_cost.json ;;
    results) for name in .csv .md .tex _differences.csv; do : > "$out$name"; done ;;
    *) : > "$out" ;;
esac
"""


class Project:
    """A release, its tables and a working folder in which nothing has been computed."""

    def __init__(self, folder, n_videos, n_folds):
        self.folder, release = folder, folder / "release"
        sources = [release / "part_A" / f"spNO.{i % n_folds}" / f"v{i:04d}" for i in range(n_videos)]
        for source in sources:
            source.mkdir(parents=True)
        (folder / "weights.pt").touch()
        (folder / "bin").mkdir()
        (folder / "bin" / "fedn-pipeline").write_text(COMMAND)
        (folder / "bin" / "fedn-pipeline").chmod(0o755)
        self.config = {
            "run": {"experiments": EXPERIMENTS},
            "dataset": {"root": str(release)},
            "backbone": {"checkpoint": str(folder / "weights.pt")},
        }
        tables = folder / "data" / "casme3"
        tables.mkdir(parents=True)
        names = [f"{source.parent.name}_{source.name}" for source in sources]
        videos = [
            f"{name},{source.parent.name},{source.relative_to(release)},frames,3000,30,1280,720,0"
            for name, source in zip(names, sources, strict=True)
        ]
        events = [f"{name},100,120,150,macro,happiness,annotated,sheet" for name in names]
        for name, header, rows in (
            ("videos", "video_id,subject,source,kind,n_frames,fps,width,height,first_number", videos),
            ("events", "video_id,onset,apex,offset,expression_type,emotion,label_set,provenance", events),
            ("data_issues", "video_id,row,rule,before,after", []),
        ):
            (tables / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")

    def snakemake(self, *arguments):
        """Output, wall and processor seconds of a call for the table; RuntimeError with the output if it fails."""
        command = [sys.executable, "-m", "snakemake", "--cores", str(os.cpu_count()), *arguments]
        command += ["--snakefile", str(REPOSITORY / "workflow" / "Snakefile"), "--directory", str(self.folder)]
        command += ["--config", *(f"{name}={json.dumps(value)}" for name, value in self.config.items())]
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY)}
        started, before = time.perf_counter(), os.times()
        done = subprocess.run(
            [*command, "--", "results/casme3_table.csv"], env=environment, capture_output=True, text=True
        )
        wall_s, after = time.perf_counter() - started, os.times()
        if done.returncode:
            raise RuntimeError((done.stdout + done.stderr)[-4000:])
        cpu_s = sum(getattr(after, part) - getattr(before, part) for part in ("children_user", "children_system"))
        return done.stdout + done.stderr, wall_s, cpu_s


def measure(n_videos, n_folds):
    """Jobs, and `(wall, processor)` seconds of a dry run, of a run of empty jobs and of a no-op after it."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), n_videos, n_folds)
        outputs, *dry = repeated(project, "--dry-run")
        n_jobs = int(re.findall(r"^total +(\d+)$", outputs[0], re.M)[0])
        _, *run = project.snakemake()
        outputs, *nothing = repeated(project)
        if not all("Nothing to be done" in output for output in outputs):
            raise RuntimeError(f"not a no-op:\n{outputs[0][-4000:]}")
    for name, (wall_s, cpu_s) in (("dry run", dry), ("empty jobs", run), ("no-op", nothing)):
        each = f"{1000 * cpu_s / n_jobs:.1f} ms a job"
        print(f"{n_jobs:5} jobs  {name:11} {wall_s:7.1f} s, processor {cpu_s:7.1f} s, {each}")
    return n_jobs, dry, run, nothing


def repeated(project, *arguments):
    """Outputs and medians of three equal calls."""
    outputs, wall_s, cpu_s = zip(*(project.snakemake(*arguments) for _ in range(3)), strict=True)
    return outputs, statistics.median(wall_s), statistics.median(cpu_s)


def main():
    share = 1 / 4 if options(__doc__.splitlines()[0]).quick else 1
    for size in sorted({1 / 4, share}):
        n_jobs, dry, run, nothing = measure(round(size * VIDEOS), round(size * FOLDS))
    each_s = run[1] / n_jobs
    print(f"one job costs {1000 * each_s:.0f} ms, {SHARE:.0%} of the work of a job of {each_s / SHARE:.1f} s")
    work_s = 3600 * (share * VIDEO_HOURS + share**2 * ROW_HOURS * len(EXPERIMENTS))  # folds times their videos
    report(f"dry run of {n_jobs} jobs, against its limit", dry[0], LIMIT_S, 1, "s")
    report(f"no-op of {n_jobs} jobs, against its limit", nothing[0], LIMIT_S, 1, "s")
    report(f"engine over {n_jobs} jobs, against {SHARE:.0%} of their estimated work", run[1], SHARE * work_s, 1, "s")


if __name__ == "__main__":
    main()
