"""Nothing leaves the machine: MediaPipe, which would report its use, gets no internet socket, and nothing else asks."""

import os
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from workflow.project import copied

UNSEALED = get_context("forkserver")  # started by tests/conftest.py, before any test
HANGS_S = 300  # no measure of speed: a process that waits for ever is a failure
STRACE = shutil.which("strace")
LANDMARKS = """
    import numpy as np, time
    from fedn_pipeline.faces import landmarks
    {before}
    with landmarks.Landmarker(1, 0.5, video=True) as landmarker:
        landmarker.detect(np.zeros((64, 64, 3), np.uint8))
    time.sleep(0.5)  # the report is sent from a thread
    {after}
"""
SOCKETS = """
    import socket, subprocess, sys, threading
    def attempt(family):
        try:
            socket.socket(family, socket.SOCK_STREAM).close()
        except PermissionError:
            return "refused"
        return "open"
    def attempts():
        return [attempt(family) for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)]
"""


def python(text, *before):
    command = [*before, sys.executable, "-c", textwrap.dedent(text)]
    with ProcessPoolExecutor(1, UNSEALED) as pool:
        done = pool.submit(subprocess.run, command, capture_output=True, text=True, timeout=HANGS_S).result()
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def attempts(trace):
    """The lines of a trace of system calls in which an internet socket was opened and not refused, or used."""
    lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
    used = [line for line in lines if "AF_INET" in line and "socket(" not in line]
    opened = [line for line in lines if "socket(AF_INET" in line and "EACCES" not in line]
    return used, opened


def test_sealed_process_its_threads_and_children():
    """Threads that run already, later ones, and programs that are started; sockets of the machine itself stay."""
    text = textwrap.dedent(SOCKETS) + textwrap.dedent("""
        from fedn_pipeline.faces import offline
        go, found = threading.Event(), []
        early = threading.Thread(target=lambda: (go.wait(), found.append(attempts())), daemon=True)
        early.start()
        assert attempts() == ["open", "open", "open"] and not offline.is_sealed()
        offline.seal()
        offline.seal()
        go.set(); early.join()
        found.append(attempts())
        late = threading.Thread(target=lambda: found.append(attempts()))
        late.start(); late.join()
        child = "import socket; socket.socket(socket.AF_INET)"
        found.append(subprocess.run([sys.executable, "-c", child], capture_output=True).returncode)
        print(found)
    """)
    refused = ["refused", "refused", "open"]
    assert python(text).strip() == str([refused, refused, refused, 1])


def test_landmarks_seal_their_process():
    text = textwrap.dedent(SOCKETS) + textwrap.dedent(LANDMARKS).format(before="", after="print(attempts())")
    assert python(text).strip().splitlines()[-1] == "['refused', 'refused', 'open']"


@pytest.mark.skipif(STRACE is None, reason="strace is not installed: it watches what MediaPipe does without Python")
def test_mediapipe_opens_no_connection(tmp_path):
    """The library's own threads, by a trace of their system calls; and the trace does see what is not prevented."""
    trace = tmp_path / "trace"
    watch = [STRACE, "-f", "-e", "trace=socket,connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    python(LANDMARKS.format(before="", after=""), *watch)
    used, opened = attempts(trace)
    assert used == [] and len(opened) <= 1  # the probe of `offline.is_sealed`, closed unused
    assert "EACCES" in trace.read_text()  # something did ask: once nothing does, the seal is not needed any more
    connect = "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('127.0.0.1', 9))"
    python(f"import socket; {connect}", *watch)
    assert attempts(trace)[0] != []


def test_a_run_without_a_network(tmp_path, full, record_property):
    """--full, as root: the smallest demo from video to page in a network namespace without any interface."""
    if not (full and STRACE and shutil.which("unshare") and os.geteuid() == 0):
        pytest.skip("needs --full, root, unshare and strace")
    project, trace = copied(tmp_path / "project"), tmp_path / "trace"
    targets = ["results/demo_smallest_table.csv", "results/demo_smallest/summary/index.html"]
    watch = [STRACE, "-f", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    command = ["unshare", "--net", *watch, sys.executable, "-m", "snakemake", "--cores", "2", *targets]
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(project), "PATH": path}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert all((project / target).is_file() for target in targets)
    used, _ = attempts(trace)
    record_property("connections attempted in a run of the smallest demo", len(used))
    assert used == []


def test_the_test_process_is_not_sealed_by_import():
    """Only a process that starts MediaPipe loses the network; a user's notebook that imports the package does not."""
    text = "import fedn_pipeline.faces.landmarks, socket; socket.socket(socket.AF_INET).close(); print('open')"
    assert python(text).strip() == "open"
