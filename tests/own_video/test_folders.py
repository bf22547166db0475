"""What `detect` does around its videos: their names, what fails, what an earlier or a killed run has left."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from fedn_pipeline import cli, config, files
from fedn_pipeline.dataset import custom
from fedn_pipeline.files import InputError
from fedn_pipeline.own_video import detect, stage

SETTINGS = config.validate({})["detect"]
CLASSES = ["happiness"]


def content(video_id, name):
    """What detections.json holds of a video with one expression, as far as it is used here."""
    one = {"onset": 3, "offset": 5, "apex": 4, "onset_s": 0.1, "offset_s": 0.2, "confidence": 0.9}
    return {
        "video": {"id": video_id, "file": name, "n_frames": 50, "fps": 30.0, "duration_s": 50 / 30},
        "classes": CLASSES,
        "detections": [{**one, "emotion": "happiness", "scores": {"happiness": 0.9}, "kept": True}],
        "missing_s": [[0.5, 1.0]],
        "times_s": None,
        "warnings": [],
    }


@pytest.fixture
def quick(monkeypatch):
    """`run(source, out)` of the stage without decoding: a video whose name has `bad` in it raises what it says."""

    def one(path, video_id, bundle, folder, settings, person, crops, progress, name):
        if "bad" in path.name:
            raise quick.error
        files.write_json(folder / "detections.json", content(video_id, name), checksum=False)
        return content(video_id, name)

    def quick(source, out):
        return stage.run(source, "model", out, SETTINGS)

    quick.error = ValueError("odd\nthings")
    monkeypatch.setattr(detect, "run", one)
    monkeypatch.setattr(stage, "_bundle", lambda model, settings: type("Bundle", (), {"classes": CLASSES}))
    return quick


def filled(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def summary(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def test_ids_are_those_of_the_reader(tmp_path):
    folder = filled(tmp_path / "own", "anna/talk.mp4", "ben/talk.mp4", "ben/Mein Film (1).mp4", "=1+1.mp4", "-v.avi")
    found = stage.videos(folder, tmp_path / "seen")
    read = custom._unique(custom._discovered(folder, [])[0], folder, custom.release.Problems(strict=False))
    assert {video_id: path.relative_to(folder) for video_id, path in found.items()} == {
        item.video_id: item.path for item in read
    }
    assert {*found} == {"anna_talk", "ben_talk", "Mein_Film__1_", "_1_1", "_-v"}


def test_no_two_ids_are_one_and_none_is_a_file_of_the_folder(tmp_path):
    names = ("a/b.mp4", "c/b.mp4", "a_b.avi", "A_B.mkv", "index.html.mp4", "summary.json.mp4", "detections.csv.mp4")
    folder = filled(tmp_path, *names, "d/detections.csv.mp4.mp4", "...mp4.mp4")
    found = stage.videos(folder, tmp_path / "seen")
    assert len(found) == len({name.casefold() for name in found}) == 8  # the last one is hidden
    assert {"index.html.mp4", "summary.json.mp4", "detections.csv.mp4"} <= {*found}
    assert not {"index.html", "summary.json", "detections.csv"} & {*found}
    assert stage.videos(filled(tmp_path / "one", "-x y.mp4") / "-x y.mp4", tmp_path) == {
        "_-x_y": tmp_path / "one/-x y.mp4"
    }


def test_names_that_are_no_utf8(quick, tmp_path, capsys):
    name = os.fsdecode(b"caf\xe9.mp4")
    filled(tmp_path / "own/sub", name, os.fsdecode(b"bad\xe9.mp4"))
    assert quick(tmp_path / "own", tmp_path / "seen") == 1
    assert summary(tmp_path / "seen")["videos"] == ["caf_"]
    assert json.loads((tmp_path / "seen/caf_/detections.json").read_text())["video"]["file"] == "sub/caf�.mp4"
    said = capsys.readouterr()
    assert "caf�.mp4" in said.out and "bad�.mp4: ValueError: odd things" in said.err
    assert "sub/caf�.mp4" in (tmp_path / "seen/index.html").read_text(encoding="utf-8")


def test_any_failure_lets_the_others_go_on_and_is_one_line(quick, tmp_path, capsys):
    folder = filled(tmp_path / "own", "a.mp4", "bad.mp4", "c.mp4")
    assert quick(folder, tmp_path / "seen") == 1
    assert summary(tmp_path / "seen") == {
        "videos": ["a", "c"],
        "failed": {str(folder / "bad.mp4"): f"{folder / 'bad.mp4'}: ValueError: odd things"},
    }
    assert "1 of 3 videos could not be used" in capsys.readouterr().err
    assert list(pd.read_csv(tmp_path / "seen/detections.csv").video_id) == ["a", "c"]
    index = (tmp_path / "seen/index.html").read_text(encoding="utf-8")
    assert '<rect x="300.00" width="300.00" y="0" height="20" class="missing"/>' in index  # by seconds
    assert not (tmp_path / "seen/bad").exists()


def test_a_killed_run_keeps_what_is_done_and_nothing_of_before(quick, tmp_path):
    folder = filled(tmp_path / "own", "a.mp4", "bad.mp4", "c.mp4")
    quick(folder, tmp_path / "seen")
    filled(tmp_path / "own", "0.mp4")
    quick.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        quick(folder, tmp_path / "seen")
    assert summary(tmp_path / "seen") == {"videos": ["0", "a"], "failed": {}}
    assert list(pd.read_csv(tmp_path / "seen/detections.csv").video_id) == ["0", "a"]
    (tmp_path / "own/0.mp4").rename(tmp_path / "own/bad0.mp4")
    (tmp_path / "own/a.mp4").unlink()
    with pytest.raises(KeyboardInterrupt):
        quick(folder, tmp_path / "seen")
    assert not (tmp_path / "seen/summary.json").exists()  # of an earlier run


def test_a_folder_that_cannot_be_written_ends_the_run(quick, tmp_path, capsys):
    filled(tmp_path / "own", "bad.mp4", "c.mp4")
    filled(tmp_path, "file")
    with pytest.raises(InputError, match="cannot be written: Not a directory"):
        quick(tmp_path / "own", tmp_path / "file/seen")
    assert "of 2" not in capsys.readouterr().out  # before any video
    quick.error = files.Unwritable("seen/bad/index.html: cannot be written: No space left on device")
    with pytest.raises(InputError, match="No space left"):
        quick(tmp_path / "own", tmp_path / "seen")


def test_its_own_folder_is_not_looked_into(quick, tmp_path):
    folder = filled(tmp_path, "a.mp4", "seen/old/faces/crops/old.mp4", "seen_too/b.mp4")
    assert {*stage.videos(folder, folder / "seen")} == {"a", "b"}
    assert {*stage.videos(folder, folder)} == {"a", "old", "b"}


def test_export_lies_beside_the_videos_and_follows_the_last_call(quick, tmp_path):
    folder = filled(tmp_path / "own", "anna/talk.mp4", "ben/talk.mp4", "gone.mp4")
    quick(folder, tmp_path / "seen")
    (folder / "gone.mp4").unlink()
    quick(folder, tmp_path / "seen")
    assert cli.main(["export", str(tmp_path / "seen"), "--to", "elan", "--out", str(folder)]) == 0
    written = {path.relative_to(folder) for path in folder.rglob("*.eaf")}
    assert written == {Path("anna/talk.eaf"), Path("ben/talk.eaf")}


def test_a_summary_that_leads_elsewhere_is_refused(tmp_path, capsys):
    files.write_json(tmp_path / "summary.json", {"videos": ["../other"], "failed": {}}, checksum=False)
    assert cli.main(["export", str(tmp_path), "--to", "elan", "--out", str(tmp_path / "out")]) == 2
    assert "videos: '../other' is no name of a video" in capsys.readouterr().err


def test_without_a_model_the_demo_is_named(tmp_path, monkeypatch, capsys):
    filled(tmp_path, "a.mp4")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["detect", "a.mp4", "--out", "seen"]) == 2
    assert "`make demo` makes one, or give --model" in capsys.readouterr().err
