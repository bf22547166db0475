"""What the cluster profiles would submit at CAS(ME)^3's size, and what they submit to stand-ins of bsub and kubectl.

The jobs' own command only writes empty files (benchmarks/engine.py). tests/cluster/test_slurm.py runs the real one.
"""

import json
import os
import re
import subprocess
from collections import Counter
from importlib.util import find_spec

import pytest
import yaml
from workflow.project import REPOSITORY, copied, planned

PROFILES = REPOSITORY / "workflow/profiles"
CLUSTERS = ("generic", "kubernetes", "slurm")
NO_PLUGIN = pytest.mark.skipif(
    find_spec("snakemake_executor_plugin_slurm") is None,
    reason="the extra `slurm` is not installed (.ci/run installs it last)",
)
OF_THE_CLUSTER = (
    "executor",
    "default-resources",
    "slurm-",
    "cluster-generic-",
)  # keys that differ from profile to profile
# LSF's submit command as the profile calls it: notes what it is asked for, runs the job beside it, prints its number.
BSUB = """#!/bin/sh
printf '%s\\n' "$*" >> submitted
for script; do :; done
sh "$script" >> output 2>&1 &
wc -l < submitted
"""


@pytest.fixture
def project(tmp_path):
    """`project(videos, folds)`: CAS(ME)^3 in this size, its tables written, nothing computed; bsub on the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY / "benchmarks")
        import engine

        def made(videos, folds):
            project = engine.Project(tmp_path, videos, folds)
            project.config["run"] = {"experiments": ["fedn", "chance", "classic"]}
            (tmp_path / "bin/bsub").write_text(BSUB)
            (tmp_path / "bin/bsub").chmod(0o755)
            return project

        yield made


def profile(name):
    return ["--workflow-profile", str(PROFILES / name)]


@pytest.mark.parametrize("name", ["default", "generic", "kubernetes", pytest.param("slurm", marks=NO_PLUGIN)])
@pytest.mark.parametrize(
    "target", ["results/demo/annotated/fedn/seed0/folds/s01/detections.csv", "data/demo/features/resnet18_demo.h5"]
)
def test_one_file_can_be_planned_before_the_tables_are_there(name, target, tmp_path):
    assert "dataset" in planned(copied(tmp_path), target, *profile(name))


@pytest.mark.parametrize("name", CLUSTERS)
def test_profiles_agree_in_all_but_their_cluster(name):
    def shared(name):
        every = yaml.safe_load((PROFILES / name / "config.yaml").read_text())
        return {key: value for key, value in every.items() if not key.startswith(OF_THE_CLUSTER)}

    assert shared(name) == shared("slurm") and shared(name)["group-components"]
    block = re.search(r"^# set-resources:\n(#   .*\n)+", (PROFILES / name / "config.yaml").read_text(), re.M)[0]
    gpu = yaml.safe_load(re.sub("^# ", "", block, flags=re.M))["set-resources"]
    of_network = {"pretrain", "features_part", "folds", "final", "cascade", "peer"}
    assert {rule for rule, asked in gpu.items() if "gpu" in asked} == of_network


@pytest.mark.parametrize("name", ["generic", "kubernetes"])
def test_dry_run_of_the_demo(tmp_path, name):
    assert planned(copied(tmp_path), "results/demo_smallest_table.csv", *profile(name)) == {"dataset", "results"}


def jobs(output):
    """Of a dry run: what would be submitted, a list of `(group or rule, [(rule, minutes)])`."""
    found = []
    for line in output.splitlines():
        if group := re.match(r"\[.*\] Group job ([a-z]+)", line):
            found.append((group[1], []))
        elif rule := re.match(r"( *)rule (\w+):", line):
            if not rule[1]:
                found.append((rule[2], []))
            found[-1][1].append([rule[2], None])
        elif minutes := re.search(r" runtime=(\d+)", line):
            found[-1][1][-1][1] = int(minutes[1])
    return found


def test_casme3_is_a_few_hundred_jobs(project, capsys):
    output, *_ = project(1300, 100).snakemake("--dry-run", *profile("generic"))
    submitted = jobs(output)
    counted, width = Counter(name for name, _ in submitted), 4  # `cores` of the profile
    single = {"backbone": 1, "features": 1, "results": 1}
    assert counted == {**single, "faces": 21, "features_part": 82, "fold": 100, "reference": 4}
    members = Counter(rule for _, every in submitted for rule, _ in every)
    assert members == {
        **single,
        **{"faces": 1300, "features_part": 82, "folds": 100, "detections": 100, "reference": 200},
    }
    # A job asks for twice what it is expected to take, and two minutes; of a group, `cores` run at a time.
    expected = {}
    for name, every in submitted:
        minutes = sum((asked - 2) / 2 for _, asked in every) / (width if name in ("faces", "reference") else 1)
        expected.setdefault(name, []).append(minutes)
    with capsys.disabled():
        for name, minutes in expected.items():
            print(f"\n{name}: {len(minutes)} jobs of {min(minutes):.0f} to {max(minutes):.0f} minutes", end="")
    for name in ("faces", "features_part", "reference"):
        assert sum(5 <= minutes <= 60 for minutes in expected[name]) >= len(expected[name]) - 1  # the last is the rest


def test_each_job_is_submitted_once_and_what_a_failed_job_has_made_is_kept(project):
    some = project(10, 3)
    submitted, called, crops = (some.folder / name for name in ("submitted", "called", "data/casme3/crops"))
    command = some.folder / "bin/fedn-pipeline"
    references_too = ": > fold.json; : > detections.csv; : > threshold.json"
    original = command.read_text().replace(": > fold.json", references_too)
    note = f'#!/bin/sh\necho "$1" >> {called}\n'
    command.write_text(original.replace("#!/bin/sh\n", note + 'case "$*" in *spNO.1_v0004*) exit 2 ;; esac\n', 1))
    parts = [*profile("generic"), "--latency-wait", "2", "--cores", "2", "--seconds-between-status-checks", "1"]
    parts += ["--group-components", "faces=4", "reference=2"]
    with pytest.raises(RuntimeError, match="At least one job did not complete"):
        some.snakemake(*parts)
    assert len(submitted.read_text().splitlines()) == 4  # 4, 4 and 2 videos; the weights
    kept = {path.name for path in crops.glob("*.mp4")}
    assert (
        6 <= len(kept) <= 9 and "spNO.1_v0004.mp4" not in kept
    )  # the two other jobs, and of the failed one what it has

    command.write_text(original.replace("#!/bin/sh\n", note, 1))
    called.unlink()
    submitted.unlink()
    some.snakemake(*parts)
    calls = Counter(called.read_text().split())
    assert calls == {"faces": 10 - len(kept), "features": 2, "folds": 3 + 6, "detections": 3, "results": 1}
    asked = submitted.read_text().splitlines()
    assert len(asked) == 1 + 2 + 3 + 4 + 1  # videos, features, folds, references, the table
    assert all(re.match(r"-n [12] -W \d+ -R span\[hosts=1\] rusage\[mem=\d+MB\] /", line) for line in asked)


KUBECTL = """#!/bin/sh
cat > manifest
echo job.batch/fedn-x1
"""


def test_kubernetes_manifest(tmp_path):
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    settings = yaml.safe_load((PROFILES / "kubernetes/config.yaml").read_text())["cluster-generic-submit-cmd"]
    script, *asked = settings.format(
        threads=4, resources=type("asked", (), {"mem_mb": 8000, "runtime": 90, "gpu": 1})
    ).split()
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [REPOSITORY / script, *asked, "/data/job.sh"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == "job.batch/fedn-x1\n"
    spec = json.loads((tmp_path / "manifest").read_text())["spec"]
    container = spec["template"]["spec"]["containers"][0]
    assert spec["template"]["spec"]["activeDeadlineSeconds"] == 5400 and container["workingDir"] == str(tmp_path)
    assert container["command"] == ["sh", "/data/job.sh"]
    assert container["resources"] == {
        "requests": {"cpu": "4", "memory": "8000M"},
        "limits": {"memory": "8000M", "nvidia.com/gpu": "1"},
    }
