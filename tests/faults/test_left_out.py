"""One bad video does not stop the others; table, page and exit status say so."""

import json
import os

import pandas as pd
import pytest
from faults import small
from workflow.project import planned, run, snakemake

from fedn_pipeline import cli
from fedn_pipeline.features import cache

BROKEN = "s01_1"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, full):
    """A run in which one of 6 videos (--full: of 50) is words instead of a video."""
    folder = small.project(tmp_path_factory.mktemp("left_out"), n_subjects=5 if full else 3, of_each=10 if full else 2)
    (folder / f"raw/s01/{BROKEN}.mp4").write_text("just words")
    return folder, run(folder, small.TABLE, "results/custom/summary/index.html")


def test_the_others_go_on_and_the_exit_status_and_the_table_tell(finished, record_property):
    folder, done = finished
    assert done.returncode == 1
    assert f"data/custom: {BROKEN}: " in done.stdout + done.stderr and "Traceback" not in done.stdout + done.stderr
    table = pd.read_csv(folder / small.TABLE)
    n_videos = len(list((folder / "raw").glob("*/*.mp4")))
    assert table.method.tolist() == ["fedn", "chance", "classic"]
    assert table.left_out.str.startswith(f"{BROKEN}: cannot be").all()
    assert (table.n_ground_truth == len(small.EVENTS) * n_videos).all()  # its expressions count as missed
    printed = (folder / small.TABLE).with_suffix(".md").read_text()
    assert "LEFT OUT: 1 video(s)" in printed and "Videos left out" in printed.splitlines()[0]
    assert "LEFT OUT: 1 video(s)" in (folder / small.TABLE).with_suffix(".tex").read_text().replace("\\_", "_")
    assert "LEFT OUT: 1 video(s)" in (folder / "results/custom/summary/index.html").read_text()
    record_property("videos", f"1 of {n_videos} broken, the table is of the other {n_videos - 1}")


def test_nothing_is_proposed_in_it_and_nothing_learnt_from_it(finished):
    folder, _ = finished
    path = folder / "data/custom/features/resnet18.h5"
    ids = pd.read_csv(folder / "data/custom/videos.csv").video_id
    assert list(cache.left_out(path, ids)) == [BROKEN] and not cache.read(path, BROKEN).valid.any()
    for experiment in ("fedn", "chance", "classic"):
        found = pd.concat(map(pd.read_csv, (folder / f"results/custom/annotated/{experiment}").rglob("detections.csv")))
        assert BROKEN not in set(found.video_id)
    folds = folder / "results/custom/annotated/fedn/seed0/folds"
    assert list(json.loads((folds / "s01/fold.json").read_text())["left_out"]) == [BROKEN]
    assert json.loads((folds / "s00/fold.json").read_text())["left_out"] == {}
    assert BROKEN not in json.loads((folds / "s00/threshold.json").read_text())["chosen_on"]


def test_another_file_in_its_place_is_taken_in_whatever_its_time(finished, full):
    folder, _ = finished
    path = folder / f"raw/s01/{BROKEN}.mp4"
    small.write_video(path, 3)
    assert "dataset" in planned(folder, small.TABLE)
    os.utime(path, (0, 0))  # copied with its time
    snakemake(folder, "--forcerun", "dataset", "--", "data/custom/videos.csv")
    assert {"faces", "features_part"} <= planned(folder, small.TABLE)
    if full:
        done = run(folder, small.TABLE)
        assert done.returncode == 0, done.stdout + done.stderr
        assert pd.read_csv(folder / small.TABLE).left_out.isna().all()


def test_without_leave_out_the_command_refuses(tmp_path, capsys):
    (tmp_path / "words.mp4").write_text("just words")
    assert cli.main(["faces", str(tmp_path / "words.mp4"), "--out", str(tmp_path)]) == 2
    assert "words.mp4" in capsys.readouterr().err and not (tmp_path / "crops").exists()


def test_a_video_that_is_gone_is_not_left_out(tmp_path, capsys):
    assert cli.main(["faces", str(tmp_path / "gone.mp4"), "--out", str(tmp_path), "--leave-out"]) == 2
    assert "gone.mp4: no such video" in capsys.readouterr().err and list(tmp_path.iterdir()) == []
