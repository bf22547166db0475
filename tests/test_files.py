"""Outputs appear whole or not at all."""

import subprocess
import sys

import pandas as pd
import pytest

from fedn_pipeline import files
from fedn_pipeline.files import InputError


def test_nothing_is_left_when_writing_fails(tmp_path):
    target = tmp_path / "deep/table.csv"
    with pytest.raises(ZeroDivisionError), files.whole(target) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert list(target.parent.iterdir()) == []


def test_failed_rewrite_keeps_the_old_file(tmp_path):
    target = tmp_path / "value.json"
    files.write_json(target, {"b": 1, "a": [2]})
    before = target.read_text()
    with pytest.raises(TypeError):
        files.write_json(target, {"a": object()})
    assert target.read_text() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["value.json", "value.json.sha256"]


def test_csv_and_checksum(tmp_path):
    files.write_csv(tmp_path / "t.csv", pd.DataFrame({"a": [1], "b": [0.5]}))
    assert (tmp_path / "t.csv").read_text() == "a,b\n1,0.5\n"
    assert files.sha256(tmp_path / "t.csv") == "6c76483da7e81b7559b1266526fa09a8d8ebaa8efd13bb0f87a95b1bb14749b5"


def test_files_have_the_permissions_of_any_other_file(tmp_path):
    """Whatever their writer chose: colleagues on a shared disk must be able to read weights."""
    plain = tmp_path / "plain"
    plain.touch()
    with files.whole(tmp_path / "weights") as partial:
        partial.touch(mode=0o600)
    assert (tmp_path / "weights").stat().st_mode == plain.stat().st_mode


def test_a_checksum_that_sha256sum_reads_lies_beside_each_file(tmp_path):
    files.write_text(tmp_path / "a.txt", "words\n")
    done = subprocess.run(["sha256sum", "-c", "a.txt.sha256"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "a.txt: OK\n"
    assert files.checked(tmp_path / "a.txt") == tmp_path / "a.txt"


def test_a_changed_byte_is_named_with_the_command_that_makes_the_file_again(tmp_path):
    target = tmp_path / "a.txt"
    files.write_text(target, "words\n")
    files.checked(target)  # what was found then must not hide what is there now
    target.write_text("wordz\n")
    with pytest.raises(InputError, match=r"a\.txt: damaged.*snakemake --cores all --force .*a\.txt "):
        files.checked(target)
    files.checksum_path(target).unlink()
    assert files.checked(target) == target  # a user's own file


@pytest.mark.parametrize("what", ["checksum", "name", "gone", "empty"])
def test_a_damaged_or_foreign_checksum_does_not_pass(tmp_path, what):
    target = tmp_path / "a.txt"
    files.write_text(target, "words\n")
    beside = files.checksum_path(target)
    if what == "gone":
        target.unlink()
    else:
        text = {
            "checksum": beside.read_text().replace("a", "b", 1),
            "name": beside.read_text()[:-2] + "\n",
            "empty": "",
        }
        beside.write_text(text[what])
    with pytest.raises(InputError, match=r"a\.txt: (damaged|is gone)"):
        files.checked(target)


def test_what_a_killed_process_left_goes_with_the_next_file_and_a_living_one_keeps_its_own(tmp_path):
    program = (
        "import sys, time; from fedn_pipeline.files import whole\n"
        f"with whole('{tmp_path}/big.h5') as partial:\n"
        "    partial.write_text('half'); print(1, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        files.write_text(tmp_path / "a.txt", "")
        assert len(list(tmp_path.glob(".big*"))) == 1
        process.kill()
    files.write_text(tmp_path / "b.txt", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "a.txt.sha256", "b.txt", "b.txt.sha256"]


def test_a_scratch_file_is_gone_whatever_happens(tmp_path):
    with files.scratch(tmp_path / "new/film.mp4") as path:
        path.write_text("somebody's face")
        assert path.suffix == ".mp4" and files.is_partial(path)
    assert not any(path.parent.iterdir())
    with pytest.raises(ZeroDivisionError), files.scratch(path.with_name("film.mp4")) as path:
        path.write_text(str(1 / 0))
    with pytest.raises(files.Unwritable, match=r"film\.mp4: cannot be written"), files.scratch(tmp_path / "film.mp4"):
        raise OSError(28, "No space left on device")
    assert not any(path.parent.iterdir())


def test_a_place_that_cannot_be_written_is_named_with_the_cause(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"full/table\.csv: cannot be written: No space left on device"),
        files.whole(tmp_path / "full/table.csv"),
    ):
        raise OSError(28, "No space left on device")
    with pytest.raises(InputError, match="cannot be written: No space left"), files.whole(tmp_path / "a.h5"):
        raise RuntimeError("can't flush (file write failed: errno = 28, error message = 'No space left on device')")
    with pytest.raises(PermissionError), files.whole(tmp_path / "a.h5"):
        raise PermissionError(13, "Permission denied", "/elsewhere/input.mp4")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["file"]


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "a.csv/in the way").mkdir(parents=True)
    with pytest.raises(InputError, match=r"a\.csv: cannot be written: Is a directory"):
        files.write_text(tmp_path / "a.csv", "")
    with pytest.raises(InputError, match=r"b\.csv: cannot be written: File exists"):
        (tmp_path / "file").touch()
        files.write_text(tmp_path / "file/b.csv", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "file"]
