"""Starting commands and killing them with all their children, as a dying node or an impatient person does."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

POLL_S = 0.02


def environment(project):
    """As workflow.project.run: the copy's package, and the commands of this environment."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PYTHONPATH": str(project), "PATH": path}


def start(command, project, log):
    """A process of its own session that writes to `log`."""
    with open(log, "ab") as output:
        return subprocess.Popen(
            [str(word) for word in command], cwd=project, env=environment(project), stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip


def descendants(process):
    """Ids of a process and all that it has started, the youngest first."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[::-1]


def kill(processes):
    """SIGKILL to each of them that still lives."""
    for one in processes:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def killed_after(command, project, log, seconds, until=lambda: True):
    """Run a command and SIGKILL it, and all that it has started, `seconds` after `until()` holds.

    Returns whether it was still running then.
    """
    process = start(command, project, log)
    while process.poll() is None and not until():
        time.sleep(POLL_S)
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        time.sleep(POLL_S)
    lived = process.poll() is None
    kill(descendants(process.pid))
    process.wait()
    return lived
