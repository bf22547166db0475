"""Outputs appear whole or not at all."""

import pandas as pd
import pytest

from fedn_pipeline import files


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
    assert target.read_text() == before and [p.name for p in tmp_path.iterdir()] == ["value.json"]


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
