"""A full disk and a read-only one, mounted for the test: every command that writes ends with one clear line, and
nothing half-written is left or taken for whole; with space again, the same bytes come out."""

import os
import subprocess
from contextlib import contextmanager

import pytest
from faults import material
from faults.commands import Commands, files_of, message

PAGE = 4096
SHARES, MANY_SHARES = (0, 0.5, 0.95), [number / 20 for number in range(20)]
NAMES = [
    *("dataset demo", "dataset custom", "rehearse", "faces", "pretrain", "backbone"),
    *("features", "features --merge", "flow", "flow --merge"),
    *("folds", "folds chance", "folds classic", "folds cascade", "folds str", "detections", "results", "report"),
]


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
    """Command by name, and what each writes where there is room."""
    every = material.prepared(tmp_path_factory.mktemp("material"), commands)
    assert list(every) == NAMES
    return every


def test_a_full_disk(name_of_command, commands, prepared, tmp_path, full, record_property):
    command = prepared[name_of_command]
    (tmp_path / "roomy").mkdir()
    assert commands.run(*command.arguments, cwd=tmp_path / "roomy").returncode == 0
    wanted = files_of(tmp_path / "roomy")
    size = sum(-(-len(content) // PAGE) * PAGE for content in wanted.values())
    faults = 0
    with disk(tmp_path / "disk", "-o", f"size={2 * size + 2**20}") as folder:
        for share in MANY_SHARES if full else SHARES:
            filler = fill(folder, int(share * size))
            done = commands.run(*command.arguments, cwd=folder)
            said = message(done)
            filler.unlink()
            assert ": cannot be written: No space left on device; " in said
            named = said.split(": ")[1]
            left = files_of(folder)
            assert named in wanted and named not in left
            assert all(wanted[name] == content for name, content in left.items()), "something half-written"
            faults += 1
        assert commands.run(*command.arguments, cwd=folder).returncode == 0
        assert files_of(folder) == wanted
    record_property("faults injected", f"{faults} full disks for `{name_of_command}`, all named; the same bytes after")


def pytest_generate_tests(metafunc):
    if "name_of_command" in metafunc.fixturenames:
        metafunc.parametrize("name_of_command", NAMES)


def test_a_disk_without_room_for_another_file(commands, prepared, tmp_path):
    """No inode left: there is space, but no new file can begin."""
    with disk(tmp_path / "disk", "-o", "nr_inodes=4") as folder:
        for number in range(2):
            (folder / str(number)).touch()
        said = message(commands.run(*prepared["detections"].arguments, cwd=folder))
    assert "out/threshold.json: cannot be written: No space left on device" in said


def test_a_read_only_output(name_of_command, commands, prepared, tmp_path):
    with disk(tmp_path / "disk", "-o", "size=1m") as folder:
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        said = message(commands.run(*prepared[name_of_command].arguments, cwd=folder))
        assert ": cannot be written: Read-only file system; " in said and "out/" in said
        assert not files_of(folder)
