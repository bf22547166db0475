"""The smallest demo through workflow/profiles/slurm on a real SLURM of one machine, with two folds that go wrong.

Several minutes, as root, alone on the machine: only with FEDN_SLURM=1, as .ci/run calls it. One fold is killed by
scancel and one cannot write where it must; the rest has to finish, and a second call has to make what is missing and
nothing else, to the bytes of a run without a cluster.
"""

import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

import pytest
from workflow.project import REPOSITORY, copied, run, snakemake

pytestmark = pytest.mark.skipif(os.environ.get("FEDN_SLURM") != "1", reason="minutes, and root: set FEDN_SLURM=1")
DEMO = "config/datasets/demo_smallest.yaml"
TABLE = "results/demo_smallest_table.csv"
FOLDS = "results/demo_smallest/annotated/fedn/seed0/folds"
KILLED, BLOCKED = "s01", "s02"
# The profile as a user edits it who has a GPU; polled every 5 s, for this machine does nothing else.
PROFILE = ["--workflow-profile", "profile", "--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "5"]


def with_gpu(text):
    """The profile's text with its block `set-resources` uncommented."""
    block = re.search(r"^# set-resources:\n(#   .*\n)+", text, re.M)[0]
    return text.replace(block, re.sub("^# ", "", block, flags=re.M))


def slurm(*command):
    """What a command of SLURM prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# What is read of each job, by squeue's names.
ASKED = ("JobID", "Comment", "StateCompact", "Partition", "tres-per-job", "MinMemory", "TimeLimit")


class Watch(threading.Thread):
    """Reads SLURM's queue twice a second: `jobs`, what each asked for; and cancels the fold KILLED once it runs."""

    def __init__(self, project):
        super().__init__(daemon=True)
        self.logs, self.jobs, self.cancelled = project / ".snakemake/slurm_logs", {}, None
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.5):
            columns = ",".join(f"{name}:99" for name in ASKED)
            for line in slurm("squeue", "--noheader", "--states=all", f"--Format={columns}").splitlines():
                job = dict(zip(ASKED, line.split(), strict=True))
                self.jobs[job["JobID"]] = job
            running = [number for number, job in self.jobs.items() if job["StateCompact"] == "R"]
            for number in running if self.cancelled is None else []:
                if any(f"{FOLDS}/{KILLED}/folds.log" in log.read_text() for log in self.logs.glob(f"*/{number}.log")):
                    self.cancelled = number
                    slurm("scancel", number)


def finished(project):
    """Folds of the experiment `fedn` that have their detections."""
    return sorted(path.parent.name for path in (project / FOLDS).glob("*/detections.csv"))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """`(project, output, watch, seconds)` of a first call in which a fold is killed and another cannot write."""
    project = copied(tmp_path_factory.mktemp("project"))
    (project / "profile").mkdir()
    profile = project / "workflow/profiles/slurm/config.yaml"
    (project / "profile/config.yaml").write_text(with_gpu(profile.read_text()))
    demo = project / DEMO
    demo.write_text(demo.read_text().replace(" auwgcn,", ""))  # a fold like others, and no time for four more
    (project / FOLDS / BLOCKED / "checkpoint.safetensors/in the way").mkdir(parents=True)
    script, watch = REPOSITORY / "tests/cluster/slurm.sh", Watch(project)
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        try:
            subprocess.run([script, "start", folder], check=True)
            watch.start()
            started = time.perf_counter()
            done = run(project, *PROFILE, TABLE)
            seconds = time.perf_counter() - started
            watch.over.set()
            watch.join()
            yield project, done, watch, seconds
        finally:
            subprocess.run([script, "stop", folder], check=True)


def test_the_rest_finishes_though_two_folds_do_not(first):
    project, done, watch, _ = first
    output = done.stdout + done.stderr
    assert done.returncode != 0 and not (project / TABLE).exists()
    assert watch.jobs[watch.cancelled]["StateCompact"] == "CA", output[-4000:]
    assert finished(project) == ["s03", "s04"], output[-4000:]
    others = (project / FOLDS).parent.parent.parent
    assert len([*others.glob("chance/seed0/folds/*/detections.csv")]) == 4
    assert len([*others.glob("fedn_by_photograph_strict/seed0/folds/*/detections.csv")]) == 2
    assert "checkpoint.safetensors" in (project / FOLDS / BLOCKED / "folds.log").read_text()


def test_jobs_ask_for_what_rules_and_profile_say(first):
    *_, watch, _ = first
    asked = {job["Comment"]: job for job in watch.jobs.values()}
    assert len(watch.jobs) == 28, sorted(asked)  # of 49 jobs; the table is the second call's
    fold, faces = asked["rule_fold_detections_folds"], asked["rule_faces_demo_smallest_0_demo_video_faces"]
    merge = asked["rule_features_wildcards_demo_smallest_resnet18_demo"]
    assert fold["Partition"] == "gpu" and "gpu:1" in fold["tres-per-job"] and fold["TimeLimit"] == "4:04:00"
    assert faces["Partition"] == merge["Partition"] == "cpu" and "gpu" not in faces["tres-per-job"]
    assert int(fold["MinMemory"].rstrip("M")) >= 2000 and merge["MinMemory"] == "1000M"


def test_second_call_makes_what_is_missing_to_the_bytes_of_a_local_run(first, tmp_path_factory, capsys):
    project, _, watch, first_s = first
    (project / FOLDS / BLOCKED / "checkpoint.safetensors/in the way").rmdir()
    (project / FOLDS / BLOCKED / "checkpoint.safetensors").rmdir()
    missing = re.findall(r"^ *rule (\w+):", snakemake(project, *PROFILE, TABLE, "--dry-run"), re.M)
    assert sorted(missing) == ["detections", "detections", "folds", "folds", "results"]
    before = {
        path: path.stat().st_mtime_ns for fold in finished(project) for path in (project / FOLDS / fold).iterdir()
    }
    started = time.perf_counter()
    output = snakemake(project, *PROFILE, TABLE)
    second_s = time.perf_counter() - started
    assert len(re.findall("has been submitted with SLURM", output)) == 3
    assert finished(project) == ["s01", "s02", "s03", "s04"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "Nothing to be done" in snakemake(project, TABLE)  # without the profile too

    local = copied(tmp_path_factory.mktemp("local"))
    shutil.copy(project / DEMO, local / DEMO)
    started = time.perf_counter()
    snakemake(local, TABLE)
    local_s = time.perf_counter() - started
    assert (project / TABLE).read_bytes() == (local / TABLE).read_bytes()
    with capsys.disabled():
        print(f"\nSLURM: {first_s:.0f} s and {second_s:.0f} s for what was missing, {len(watch.jobs)} jobs and 3")
        print(f"without a cluster, on the same processors: {local_s:.0f} s")
