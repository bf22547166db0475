"""A copy of the project in which the tests of the workflow run Snakemake as a user does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def copied(folder):
    """The parts of the project that a run needs, in `folder`."""
    for name in ("workflow", "config", "fedn_pipeline"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(project, *arguments):
    """`snakemake --cores 2 ARGUMENTS` in the copy; a CompletedProcess."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(project),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


def snakemake(project, *arguments):
    """The output of a run that succeeds; a failed one fails the test with its end and the log of the failed rule."""
    done = run(project, *arguments)
    output = done.stdout + done.stderr
    logs = [project / line.split("log:")[1].split()[0] for line in output.splitlines() if line.startswith("    log:")]
    failed = [path.read_text()[-2000:] for path in logs if done.returncode and path.is_file()]
    assert done.returncode == 0, output[-6000:] + "\n".join(failed)
    return output


def planned(project, *arguments):
    """Names of the rules that a dry run would run."""
    lines = snakemake(project, *arguments, "--dry-run").splitlines()
    return {line.split()[1].rstrip(":") for line in lines if line.startswith(("rule ", "localrule ", "checkpoint "))}
