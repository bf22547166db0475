"""A full disk and a read-only one, mounted for the test: every command that writes ends with one clear line, and
nothing half-written is left or taken for whole; with space again, the same bytes come out."""

import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest
from faults import material
from faults.commands import Commands, files_of, message
from workflow.project import copied, run

PAGE = 4096
SHARES, MANY_SHARES = (0.6,), [number / 20 for number in range(20)]  # of what a command writes, that there is room for
# One of each library that writes: PyAV, HDF5, safetensors, pandas, matplotlib.
FEW = ["faces", "features", "folds", "folds classic", "detections", "results", "report"]


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", material.NAMES if metafunc.config.getoption("--full") else FEW)


@contextmanager
def disk(place, *options):
    """A file system of its own at `place`."""
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", place], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"NOT TESTED: file systems cannot be mounted here ({done.stderr.strip()}); run as root")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill(folder, left):
    """Leave only `left` bytes of the disk free; the file that takes the rest."""
    free = os.statvfs(folder)
    filler = folder / "filler"
    filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - left)))
    return filler


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    with Commands(tmp_path_factory.mktemp("printed")) as running:
        yield running


@pytest.fixture(scope="module")
def prepared(commands, tmp_path_factory):
    """Command by name."""
    every = material.prepared(tmp_path_factory.mktemp("material"), commands)
    assert list(every) == material.NAMES
    return every


def test_a_full_disk(name, commands, prepared, tmp_path, full, record_property):
    command = prepared[name]
    (tmp_path / "roomy").mkdir()
    assert commands.run(*command.arguments, cwd=tmp_path / "roomy").returncode == 0
    wanted = files_of(tmp_path / "roomy")
    size = sum(-(-len(content) // PAGE) * PAGE for content in wanted.values())
    shares = MANY_SHARES if full else SHARES
    with disk(tmp_path / "disk", "-o", f"size={2 * size + 2**20}") as folder:
        for share in shares:
            shutil.rmtree(folder / "out", ignore_errors=True)
            filler = fill(folder, int(share * size))
            said = message(commands.run(*command.arguments, cwd=folder))
            filler.unlink()
            assert ": cannot be written: No space left on device; " in said
            left = files_of(folder)
            assert said.split(": ")[1] in wanted.keys() - left.keys()
            assert all(wanted[path] == content for path, content in left.items()), "something half-written"
        assert commands.run(*command.arguments, cwd=folder).returncode == 0
        assert files_of(folder) == wanted
    record_property("full disks", f"{len(shares)}, each named; the same bytes after")


def test_a_disk_without_room_for_another_file(commands, prepared, tmp_path):
    """No inode left: there is space, but no new file can begin."""
    with disk(tmp_path / "disk", "-o", "nr_inodes=4") as folder:
        for number in range(2):
            (folder / str(number)).touch()
        said = message(commands.run(*prepared["detections"].arguments, cwd=folder))
    assert "out/detections_cost.json: cannot be written: No space left on device" in said


def test_a_read_only_output(name, commands, prepared, tmp_path):
    with disk(tmp_path / "disk", "-o", "size=1m") as folder:
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        said = message(commands.run(*prepared[name].arguments, cwd=folder))
        assert "Read-only file system" in said and ": out" in said
        assert not files_of(folder)


def test_a_workflow_on_a_full_disk_goes_on_when_there_is_room(full, tmp_path, record_property):
    """Snakemake's own records are on that disk too. It says what happened; the next call ends at the same bytes."""
    experiments = "[chance, classic]" if full else "[chance]"
    chosen = ["--config", f"run={{experiments: {experiments}}}", "folds={chance_draws: 3}"]
    chosen += ["evaluation={bootstrap_draws: 20}"]
    target = "results/rehearsal_table.csv" if full else "results/rehearsal/annotated/chance/seed0/folds/p0/fold.json"
    roomy = material.rehearsal(copied(tmp_path / "roomy"))
    assert run(roomy, target, *chosen).returncode == 0
    wanted = results(roomy)
    faults = [0, 2**15, 2**16, 2**17, 5 * 2**15, 3 * 2**16, 2**18] if full else [2**15]
    with disk(tmp_path / "disk", "-o", "size=16m") as folder:
        project = material.rehearsal(copied(folder))
        for left in faults:
            filler = fill(project, left)
            done = run(project, target, *chosen)
            filler.unlink()
            assert done.returncode and "No space left on device" in done.stdout + done.stderr
            assert all(wanted[path] == content for path, content in results(project).items()), "something half-written"
        again = run(project, target, *chosen)
        assert again.returncode == 0, (again.stdout + again.stderr)[-3000:]
        assert results(project) == wanted
    record_property("full disks", f"{len(faults)} under a whole Snakemake run; the same bytes after")


def results(project):
    """Bytes of what a run has made, by name; logs and measurements differ from run to run."""
    every = files_of(project / "results") if (project / "results").is_dir() else {}
    return {name: content for name, content in every.items() if not name.endswith((".log", ".tsv"))}
