"""Stage dataset: what is written, what is printed, and that nothing is written when anything is refused."""

import subprocess
import sys

import pandas as pd
import pytest
from workbooks import casme2_book, casme2_rows, casme3_rows, settings, xls

from fedn_pipeline import cli
from fedn_pipeline.dataset import counts, stage, tables
from fedn_pipeline.files import InputError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    casme2_book(folder / "code_final.xlsx", casme2_rows())
    return folder


def run(root, out, *further):
    return cli.main(["dataset", "casme2", "--root", str(root), "--out", str(out), "--annotations-only", *further])


@pytest.mark.parametrize("labels", ["annotated", "self_reported"])
def test_one_label_set(root, tmp_path, capsys, labels):
    assert run(root, tmp_path / "out", "--labels", labels) == 0
    videos = tables.read_videos(tmp_path / "out/videos.csv")
    events = tables.read_events(tmp_path / "out/events.csv", videos)
    assert len(videos) == 98 and videos["n_frames"].isna().all()
    assert events["emotion"].value_counts().to_dict() == counts.published("casme2", labels)
    assert set(events["label_set"]) == {labels} and set(events["expression_type"]) == {"macro"}
    issues = pd.read_csv(tmp_path / "out/data_issues.csv", dtype=str)
    assert list(issues) == ["video_id", "row", "rule", "before", "after"] and len(issues) == 49
    text = capsys.readouterr().out
    assert f"casme2, {labels}, macro-expressions:" in text and "Every count is the published one." in text
    assert "22 subjects" not in text and "98 videos" in text  # 98 annotated videos of fewer subjects here
    assert "44 missing_offset" in text
    total = next(line.split() for line in text.splitlines() if line.startswith("  total"))
    assert total == ["total", "300", "300", "0"]


def test_both_types_and_every_label_set(root, tmp_path):
    stage.run("casme2", root, tmp_path, settings(), types=("macro", "micro"), annotations_only=True)
    events = tables.read_events(tmp_path / "events.csv", tables.read_videos(tmp_path / "videos.csv"))
    assert events.groupby(["label_set", "expression_type"]).size().to_dict() == {
        ("annotated", "macro"): 300,
        ("annotated", "micro"): 57,
        ("self_reported", "macro"): 300,
        ("self_reported", "micro"): 57,
    }


def test_a_difference_is_said_in_words(tmp_path):
    rows = casme2_rows()
    rows[0][6] = "negative"
    casme2_book(tmp_path / "code_final.xlsx", rows[:299] + rows[300:])
    text = stage.run("casme2", tmp_path, tmp_path / "out", settings(), "annotated", annotations_only=True)
    assert "which is no release known to this reader" in text
    assert "There are 299 macro-expressions, 300 are published." in text
    assert "positive -1, negative +1, others -1" in text


def test_casme3_counts_without_emotions(tmp_path):
    xls(tmp_path / "CAS(ME)3_part_A_v2.xls", {"AU+Emotion": casme3_rows()})
    text = stage.run("casme3", tmp_path, tmp_path / "out", settings(), types=("macro", "micro"), annotations_only=True)
    assert "All 3346 macro-expressions are there. No emotion is known" in text
    assert "3346 macro, 860 micro" in text and "those of version 2" in text


def test_nothing_is_written_when_refused(tmp_path, capsys):
    (tmp_path / "code_final.xlsx").write_bytes(b"no workbook")
    assert run(tmp_path, tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "not a workbook" in error


def test_out_is_a_file(root, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    for out in (tmp_path / "out", tmp_path / "out" / "inner"):
        assert run(root, out) == 2
        assert capsys.readouterr().err.count(f"{tmp_path}/out: a file") == 1
    assert (tmp_path / "out").read_text() == "mine"


def test_unknown_label_set(root, tmp_path):
    with pytest.raises(InputError, match=r"no label set `felt`.*annotated, self_reported"):
        stage.run("casme2", root, tmp_path / "out", settings(), "felt", annotations_only=True)
    assert not (tmp_path / "out").exists()


def test_reading_needs_no_torch(root, tmp_path):
    command = ["dataset", "casme2", "--root", str(root), "--out", str(tmp_path / "out"), "--annotations-only"]
    code = f"import sys; from fedn_pipeline import cli; cli.main({command}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False"
