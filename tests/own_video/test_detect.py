"""The command `detect` on real files: what it writes, and that its numbers are those of the stages."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from own_video.conftest import N_FRAMES, film

from fedn_pipeline import cli, config
from fedn_pipeline.bundle import load
from fedn_pipeline.dataset import tables
from fedn_pipeline.faces import align, following
from fedn_pipeline.faces.axis import of_video
from fedn_pipeline.features import blendshapes, cache
from fedn_pipeline.files import InputError
from fedn_pipeline.own_video import detect, embedding, stream


class Nothing:
    """Keeps nothing of the pictures."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def add(self, *_):
        pass


def watch(path, bundle):
    with embedding.OPENERS["blendshapes"](bundle) as (embed, finish, width):
        watched = stream.watch(path, bundle.settings["faces"], embed, Nothing(), Nothing, progress=False)
        (chain,) = following.people(watched.linker, bundle.settings["faces"])
        return detect.features_of(watched, chain, [], width, finish)


def test_one_pass_gives_what_the_stages_give(talk, bundle, tmp_path):
    settings = config.validate({})
    folder = tmp_path / "data"
    align.process(talk, folder / "alignment/talk.csv", folder / "crops/talk.mp4", settings, progress=False)
    row = {"video_id": "talk", "subject": "a", "source": "talk.mp4", "kind": "video", "n_frames": N_FRAMES, "fps": 30}
    tables.write_videos(tmp_path / "videos.csv", pd.DataFrame([row]))
    videos = tables.read_videos(tmp_path / "videos.csv", known=("n_frames", "fps"))
    blendshapes.run(videos, folder, tmp_path / "part.h5", settings["faces"])
    staged = cache.read(tmp_path / "part.h5", "talk")
    features, valid = watch(talk, load.load(bundle))
    np.testing.assert_array_equal(valid, staged.valid)
    assert valid.all()  # the three frames without a face are bridged
    difference = np.abs(features.astype(float) - staged.features)
    assert np.median(difference) < 0.002 and difference.mean() < 0.01  # the stages' crops are not quite lossless


def test_what_it_writes(talk, bundle, tmp_path, capsys):
    given = ["detect", str(talk), "--model", str(bundle), "--out", str(tmp_path / "seen"), "--threshold", "0"]
    assert cli.main(given) == 0
    folder = tmp_path / "seen" / "talk"
    content = json.loads((folder / "detections.json").read_text())
    table = pd.read_csv(folder / "detections.csv")
    assert len(table) == len(content["detections"]) > 0 and table.kept.all()
    assert list(table.columns) == detect.columns(content["classes"])
    for one in content["detections"]:
        assert 0 <= one["onset"] <= one["apex"] <= one["offset"] < N_FRAMES
        assert one["onset_s"] == pytest.approx(one["onset"] / 30, abs=1e-5)
        assert one["offset_s"] == pytest.approx((one["offset"] + 1) / 30, abs=1e-5)
        assert one["scores"][one["emotion"]] == max(one["scores"].values()) == pytest.approx(one["confidence"])
    assert content["video"]["n_frames"] == N_FRAMES and content["missing"] == [] and content["times_s"] is None
    page = (folder / "index.html").read_text()
    assert "://" not in page.replace("http://www.w3.org", "") and len(page) > 50_000  # the copy of the video is inside
    assert not list((tmp_path / "seen").rglob("*.mp4")) and not list((tmp_path / "seen").rglob("*.sha256"))
    assert f"{len(table)} expressions: {folder / 'index.html'}" in capsys.readouterr().out


def test_kept_is_what_the_page_shows_at_its_threshold(talk, bundle, tmp_path, monkeypatch):
    """Confidences and the threshold are compared as they are written, the threshold in steps of the page's slider."""
    chosen = detect.candidates.chosen

    def near(*given):
        spans, _, label, logits = chosen(*given)
        confidence = np.float32([0.6340001, 0.634, 0.6339999, 0.63399, 0.6])
        return spans[:5], confidence, label[:5], logits[:5]

    monkeypatch.setattr(detect.candidates, "chosen", near)
    model = dataclasses.replace(load.load(bundle), threshold=0.634212295730703)  # of a bundle written before
    settings = config.validate({})["detect"]
    content = detect.run(talk, "talk", model, tmp_path, settings, progress=False)
    assert content["threshold"] == 0.634
    assert [one["kept"] for one in content["detections"]] == [True, True, True, False, False]
    assert all(one["kept"] == (one["confidence"] >= content["threshold"]) for one in content["detections"])
    assert pd.read_csv(tmp_path / "detections.csv").kept.tolist() == [1, 1, 1, 0, 0]


def test_the_page_says_what_to_expect(bundle):
    said = detect._model(load.load(bundle))["expected"]
    assert said.startswith("spotting F1 50.0 %, recognition F1 50.0 %: leave-one-subject-out")  # no whole interval
    assert detect._score("F1", {"value": 0.43609, "low": 0.298477, "high": 0.584783}) == "F1 43.6 % [29.8, 58.5]"
    assert detect._score("F1", {"value": None, "low": None, "high": None}) is detect._score("F1", {}) is None


def test_crops_that_fail_leave_no_results(talk, bundle, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise InputError("no crops today")

    monkeypatch.setattr(align, "write_crops", fail)
    given = ["detect", str(talk), "--model", str(bundle), "--out", str(tmp_path), "--crops"]
    assert cli.main(given) == 1 and "no crops today" in capsys.readouterr().err
    assert not [path for path in (tmp_path / "talk").glob("*") if path.is_file()]


def test_crops_are_written_when_asked_for(talk, bundle, tmp_path):
    given = ["detect", str(talk), "--model", str(bundle), "--out", str(tmp_path), "--crops"]
    assert cli.main(given) == 0
    settings = config.validate({})
    align.process(talk, tmp_path / "a/talk.csv", tmp_path / "c/talk.mp4", settings, progress=False)
    assert (tmp_path / "talk/faces/crops/talk.mp4").read_bytes() == (tmp_path / "c/talk.mp4").read_bytes()


def test_a_bad_video_does_not_stop_the_others(talk, bundle, tmp_path, capsys):
    folder = tmp_path / "mine"
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "good.mp4").write_bytes(talk.read_bytes())
    (folder / "bad.avi").write_bytes(b"no video")
    (folder / ".hidden.mp4").write_bytes(b"")
    film(folder / "empty.mp4", [np.full((120, 160, 3), 90, dtype=np.uint8)] * 12)
    assert cli.main(["detect", str(folder), "--model", str(bundle), "--out", str(tmp_path / "seen")]) == 1
    said = capsys.readouterr().err
    assert said.count("bad.avi: cannot be read as a video") == 2 and "1 of 3 videos could not be used" in said
    assert "empty.mp4: no face was found in any frame" in said
    summary = json.loads((tmp_path / "seen/summary.json").read_text())
    assert summary["videos"] == ["good", "empty"] and list(summary["failed"]) == [str(folder / "bad.avi")]
    nobody = json.loads((tmp_path / "seen/empty/detections.json").read_text())
    assert nobody["detections"] == [] and nobody["missing"] == [[0, 11]]
    assert pd.read_csv(tmp_path / "seen/empty/detections.csv").empty
    assert "bad.avi" in (tmp_path / "seen/index.html").read_text() and not (tmp_path / "seen/bad").exists()


def test_the_person_can_be_chosen(woman, man, bundle, tmp_path):
    """Two people, each still: the box is where the chosen one is."""
    both = np.concatenate([man, woman], axis=1)
    film(tmp_path / "two.mp4", [both] * 20)
    middles = {}
    for who in ("left", "right", "largest", "2"):
        given = ["detect", str(tmp_path / "two.mp4"), "--model", str(bundle), "--out", str(tmp_path / who)]
        assert cli.main([*given, "--person", who]) == 0
        person = json.loads((tmp_path / who / "two/detections.json").read_text())["person"]
        x, _, width, _ = person["boxes"]["xywh"][0]
        middles[who] = x + width / 2
        assert person["n_people"] == 2
    assert middles["left"] < 240 < middles["right"]
    assert {middles["largest"], middles["2"]} == {middles["left"], middles["right"]}
    assert cli.main([*given, "--person", "3"]) == 1  # named, as a video that could not be used
    assert cli.main([*given, "--person", "him"]) == 2


def test_a_variable_rate_is_on_its_own_time_stamps(moving, bundle, tmp_path):
    times_s = np.concatenate([np.arange(30) / 30, 1 + np.arange(15) / 10])
    film(tmp_path / "slow.mp4", moving, times_s)
    content = detect.run(
        tmp_path / "slow.mp4", "slow", load.load(bundle), tmp_path / "seen", config.validate({})["detect"]
    )
    assert content["video"]["variable_rate"] and content["video"]["duration_s"] == pytest.approx(2.5, abs=0.1)
    np.testing.assert_allclose(content["times_s"], times_s, atol=1e-3)
    axis = of_video(N_FRAMES, content["video"]["fps"], times_s)
    for one in content["detections"]:
        assert one["onset_s"] == pytest.approx(axis.edges_s[one["onset"]], abs=1e-3)
    assert len(content["curve"]["confidence"]) == 25  # ten a second


def test_damaged_frames_are_watched_again(moving, bundle, tmp_path, capsys):
    path = film(tmp_path / "torn.mp4", moving)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + len(data) // 3
    data[start : start + 400] = bytes(400)
    path.write_bytes(data)
    content = detect.run(path, "torn", load.load(bundle), tmp_path / "seen", config.validate({})["detect"])
    assert content["video"]["n_frames"] == N_FRAMES and "frames are damaged" in content["warnings"][0]
    assert "watched again" in capsys.readouterr().out


def test_an_apex_is_where_there_is_a_face():
    """Without a face features are zero, far from all others."""
    features, valid = np.ones((30, 4)), np.ones(30, dtype=bool)
    features[11:14] = [[1.2], [1.5], [1.2]]
    features[16:19], valid[16:19] = 0, False
    source = of_video(30, 30.0).source_frames()
    assert detect.apex(features, valid, (8.0, 22.0), source) == 12
    assert detect.apex(features, valid, (16.0, 18.5), source) in range(16, 19)  # there is nothing else
    assert detect.apex(features, valid, (29.2, 29.9), source) == 29


def test_missing_models_and_videos_are_named(talk, tmp_path, capsys):
    assert cli.main(["detect", str(talk), "--model", str(tmp_path / "none"), "--out", str(tmp_path / "seen")]) == 2
    assert "none: no model bundle" in capsys.readouterr().err
    assert cli.main(["detect", str(tmp_path / "gone.mp4"), "--out", str(tmp_path / "seen")]) == 2
    assert "gone.mp4: no such video file or folder" in capsys.readouterr().err
    assert not (tmp_path / "seen").exists()
