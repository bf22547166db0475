"""Two at once: commands that write the same file, and Snakemake calls on the same directory."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults import material
from faults.commands import files_of
from workflow.project import copied, run

from fedn_pipeline import files

WRITER = """
import sys
from fedn_pipeline import files
name, path, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
print(flush=True)
sys.stdin.readline()
for number in range(times):
    files.write_text(path, f"{name} {number}\\n" * 200)
"""


def test_processes_that_write_one_file_leave_one_whole_with_its_own_checksum(full, tmp_path, record_property):
    """Each reader between them finds a whole file; what is there in the end is as one of them wrote it."""
    target, n_writers, times, rounds = tmp_path / "value.txt", 4, 30, 40 if full else 4
    seen = 0
    for _ in range(rounds):
        command = [sys.executable, "-c", WRITER]
        writers = [
            subprocess.Popen(
                [*command, name, target, str(times)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for name in "abcd"[:n_writers]
        ]
        for writer in writers:
            writer.stdout.readline()
        for writer in writers:
            writer.stdin.write("\n")
            writer.stdin.flush()
        while any(writer.poll() is None for writer in writers):
            if target.exists():
                lines = target.read_text().splitlines()
                assert len(lines) == 200 and len(set(lines)) == 1, "half of one, half of another"
                seen += 1
        assert [writer.wait() for writer in writers] == [0] * n_writers
        assert files.damage(target) is None
        assert sorted(path.name for path in tmp_path.iterdir()) == ["value.txt", "value.txt.sha256"]
        for writer in writers:
            writer.stdin.close()
            writer.stdout.close()
    record_property("writers at once", f"{rounds} x {n_writers} of {times} files; read {seen} times, each time whole")


def test_a_checksum_is_made_again_if_another_process_came_between(tmp_path, monkeypatch):
    """The other puts its file and its checksum after this one's file and before this one's checksum."""
    target, placed, others = tmp_path / "value.txt", [], "the other's\n"
    replace = os.replace

    def interrupted(source, destination):
        if Path(destination) == files.checksum_path(target) and not placed:
            placed.append(True)
            other = tmp_path / "other"
            other.write_text(others)
            replace(other, target)
            other.write_text(f"{hashlib.sha256(others.encode()).hexdigest()}  value.txt\n")
            replace(other, destination)
        replace(source, destination)

    monkeypatch.setattr(os, "replace", interrupted)
    files.write_text(target, "mine\n")
    assert placed and target.read_text() == others
    assert files.damage(target) is None


def test_two_commands_at_once_give_the_file_of_one(tmp_path):
    """The same file with different settings: whichever it is, it is whole."""
    program = Path(sys.executable).parent / "fedn-pipeline"
    environment = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[1])}
    wanted = {}

    def start(seed, out):
        rehearsal = f'{{"rehearsal": {{"like": "casme2", "share": 0.01, "seed": {seed}}}}}'
        command = [program, "rehearse", "--out", out, "--settings", rehearsal]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    for seed in (0, 1):
        assert start(seed, tmp_path / f"{seed}").wait() == 0
        for name, content in files_of(tmp_path / f"{seed}").items():
            wanted.setdefault(name, []).append(content)
    both = [start(seed, tmp_path / "both") for seed in (0, 1)]
    assert [process.wait() for process in both] == [0, 0]
    found = files_of(tmp_path / "both")
    assert found.keys() == wanted.keys()
    for name, content in found.items():
        assert content in wanted[name], name
        if not name.endswith(files.CHECKSUM_SUFFIX):
            assert files.damage(tmp_path / "both" / name) is None


TARGET = "results/rehearsal/annotated/chance/seed0/folds/p0/fold.json"


@pytest.fixture
def slow(tmp_path):
    """A project whose command waits until the file `go` is there."""
    project = material.rehearsal(copied(tmp_path / "project"))
    shim = project / "bin/fedn-pipeline"
    shim.parent.mkdir()
    real = Path(sys.executable).parent / shim.name
    shim.write_text(f'#!/bin/sh\nwhile [ ! -e "{project}/go" ]; do sleep 0.1; done\nexec "{real}" "$@"\n')
    shim.chmod(0o755)
    return project


def started(project):
    path = os.pathsep.join([str(project / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", TARGET], cwd=project, text=True,
        env={**os.environ, "PYTHONPATH": str(project), "PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_a_second_run_on_the_same_directory_is_refused_and_the_first_goes_on(slow, record_property):
    first = started(slow)
    while not list((slow / ".snakemake/locks").glob("*")):
        assert first.poll() is None, first.stdout.read()
        time.sleep(0.1)
    second = run(slow, TARGET)
    said = second.stdout + second.stderr
    assert second.returncode and "Traceback (most recent call" not in said
    assert "Directory cannot be locked" in said and "--unlock" in said and str(slow) in said
    assert first.poll() is None and not (slow / TARGET).exists()
    (slow / "go").touch()
    printed, _ = first.communicate()
    assert first.returncode == 0, printed[-3000:]
    assert files.damage(slow / TARGET) is None
    assert not list((slow / ".snakemake/locks").glob("*"))
    record_property("runs at once", "the second refused with its cause, the first undisturbed")


def test_two_runs_that_begin_together_end_with_one_result(slow, full):
    """Whoever gets the lock; a third call finds nothing to do."""
    if not full:
        pytest.skip("full form only (--full)")
    (slow / "go").touch()
    both = [started(slow) for _ in range(2)]
    printed = [process.communicate()[0] for process in both]
    statuses = [process.returncode for process in both]
    assert 0 in statuses, printed
    for status, text in zip(statuses, printed, strict=True):
        assert status == 0 or "Directory cannot be locked" in text, text
    assert files.damage(slow / TARGET) is None
    assert "Nothing to be done" in run(slow, TARGET).stderr
