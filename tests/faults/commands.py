"""Runs `fedn-pipeline` commands, each in a process of its own, without waiting for their imports each time.

One process imports what the stages need and forks for every command: the child is as alone as a started command (it
ends through the interpreter's own exit), but begins in milliseconds.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from fedn_pipeline import cost
from fedn_pipeline.files import CHECKSUM_SUFFIX

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# Root without what lets it pass over permissions; another user could not read root's Python everywhere.
BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
SERVER = """
import gc, json, os, sys
import av, cv2, h5py, mediapipe, pandas, safetensors.torch, scipy.signal, torch, torchvision
from matplotlib import pyplot
from fedn_pipeline import cli
from fedn_pipeline.cascades import fold as _
from fedn_pipeline.dataset import stage as _
from fedn_pipeline.faces import align as _
from fedn_pipeline.features import checkpoint as _, extract as _, flow as _, pretrain as _
from fedn_pipeline.references import fold as _
from fedn_pipeline.report import results as _, stage as _
from fedn_pipeline.training import fold as _

def child(call):
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(call[name], os.O_WRONLY), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(call["cwd"])
    sys.exit(cli.main(call["arguments"]))

gc.freeze()  # what is never collected is not copied
print("ready", flush=True)
for line in sys.stdin:
    process = os.fork()
    if not process:
        child(json.loads(line))
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(status, flush=True)
os._exit(0)
"""


class Commands:
    """The forking process. Use as a context; `run` gives a CompletedProcess.

    `folder`: for what the commands print; `bound`: permissions bind them, whoever runs the tests.
    """

    def __init__(self, folder, bound=False):
        self.folder, self.bound = folder, bound

    def __enter__(self):
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [*(BOUND if self.bound and os.geteuid() == 0 else []), sys.executable, "-c", SERVER]
        self.server = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.server.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait()

    def run(self, *arguments, cwd):
        """One command in the folder `cwd`."""
        printed = {name: self.folder / name for name in ("stdout", "stderr")}
        for path in printed.values():
            path.write_text("")
        call = {
            "arguments": list(map(str, arguments)),
            "cwd": str(cwd),
            **{name: str(path) for name, path in printed.items()},
        }
        self.server.stdin.write(json.dumps(call) + "\n")
        self.server.stdin.flush()
        status = int(self.server.stdout.readline())
        return subprocess.CompletedProcess(arguments, status, *(path.read_text() for path in printed.values()))


def files_of(folder):
    """Bytes of every file below a folder by relative name; of a measurement only the names of its fields."""
    return {str(path.relative_to(folder)): content(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def content(path):
    """What must be the same when a command runs again: a file's bytes, but for a fold's cost and its checksum."""
    if path.name.removesuffix(CHECKSUM_SUFFIX) not in (cost.NAME, cost.DECODING):
        return path.read_bytes()
    return b"" if path.name.endswith(CHECKSUM_SUFFIX) else " ".join(json.loads(path.read_text())).encode()


def message(done):
    """The one line with which a command refuses; fails the test if it did not refuse, or said something else too."""
    assert done.returncode == 2, f"status {done.returncode}\n{done.stderr.partition('nanobind')[0][-3000:]}"
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr[-3000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("fedn-pipeline ")]
    assert len(lines) == 1, done.stderr[:3000]
    return lines[0]
