"""The user's own videos: what is found below the root, how it is measured and named."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from own_videos import by_id, read, refusals, rules, two_subjects, write_events, write_images, write_video

from fedn_pipeline import sources
from fedn_pipeline.dataset import custom, tables
from fedn_pipeline.files import InputError


@pytest.fixture
def root(tmp_path):
    return two_subjects(tmp_path)


def test_videos_in_subjects_folders(root):
    write_events(root, ["smile,3,9,happiness"])
    release = read(root)
    tables_read = by_id(release)
    assert tables_read["subject"].to_dict() == {"smile": "anna", "talk": "ben"}
    assert tables_read["source"].to_dict() == {"smile": "anna/smile.mp4", "talk": "ben/talk.avi"}
    assert tables_read["split"].to_dict() == {"smile": "train", "talk": "predict"}
    facts = tables_read[["kind", "n_frames", "fps", "width", "height"]]
    assert facts.loc["smile"].tolist() == ["video", 30, 30, 64, 48]
    assert facts.loc["talk"].tolist() == ["video", 60, 15, 64, 48]
    assert release.events.iloc[0].to_dict() | {"apex": None} == {
        "video_id": "smile",
        "onset": 3,
        "apex": None,
        "offset": 9,
        "expression_type": "",
        "emotion": "happiness",
        "label_set": "annotated",
        "provenance": "events.csv:row 2",
    }
    assert release.notes == [] and not len(release.issues)


def test_the_tables_pass_the_checks_of_later_stages(root, tmp_path):
    write_images(root / "anna/frames", range(1, 20))
    write_events(root, ["smile,3,9,happiness", "talk,0,59,sadness"])
    release = read(root, fps=25)
    tables.write_videos(tmp_path / "v.csv", release.videos)
    tables.write_events(tmp_path / "e.csv", release.events)
    videos = tables.read_videos(tmp_path / "v.csv", known=("n_frames", "fps"))
    assert len(tables.read_events(tmp_path / "e.csv", videos)) == 2
    assert dict(zip(videos["video_id"], videos["first_number"], strict=True)) == {
        "frames": "1",
        "smile": "",
        "talk": "",
    }


def test_without_events_every_video_is_predicted(root):
    release = read(root)
    assert list(release.events) == list(tables.EVENT_COLUMNS) and not len(release.events)
    assert set(release.videos["split"]) == {"predict"}
    assert any("no events.csv" in note for note in release.notes)


def test_one_subject_is_offered_a_split(tmp_path):
    for name in ("a", "b", "c"):
        write_video(tmp_path / f"{name}.mp4", 5)
    write_events(tmp_path, ["a,0,3,joy"])
    release = read(tmp_path)
    assert set(release.videos["subject"]) == {"unknown"}
    (note,) = release.notes
    assert "leave-one-subject-out needs two" in note and "fedn_split.yaml" in note
    assert "train (1)" in note and "predicted (2)" in note


def test_folders_of_numbered_images(tmp_path):
    write_images(tmp_path / "s1/walk", [*range(3, 12), *range(14, 20)], "img_{}.png")
    (tmp_path / "s1/walk/img_9.png").write_bytes(b"")
    write_images(tmp_path / "s2/run", range(0, 10))
    write_images(tmp_path / "s2/single", [1])  # one picture is no video
    write_video(tmp_path / "s2/film.mp4", 5)
    cv2.imwrite(str(tmp_path / "s2/thumb1.png"), np.zeros((4, 4), np.uint8))
    cv2.imwrite(str(tmp_path / "s2/thumb2.png"), np.zeros((4, 4), np.uint8))
    release = read(tmp_path, fps=25)
    videos = by_id(release)
    assert sorted(videos.index) == ["film", "run", "walk"]
    columns = ["kind", "n_frames", "fps", "width", "height", "first_number"]
    assert videos.loc["walk", columns].tolist() == ["frames", 19, 25, 64, 48, 1]
    assert videos.loc["run", columns].tolist() == ["frames", 10, 25, 64, 48, 0]
    issues = release.issues[release.issues["rule"] == "missing_frame_files"]
    assert issues[["video_id", "before", "after"]].values.tolist() == [
        ["walk", "0-1", "filled from 2"],
        ["walk", "8-8", "filled from 7"],
        ["walk", "11-12", "filled from 10"],
    ]


def test_a_folder_of_images_needs_a_frame_rate(tmp_path):
    write_images(tmp_path / "walk", range(1, 5))
    write_images(tmp_path / "run", range(1, 5))
    (tmp_path / "videos.csv").write_text("video_id,fps\nrun,50\n")
    assert refusals(tmp_path) == [
        "walk: a folder of images has no frame rate: set dataset.fps, or a column `fps` in videos.csv"
    ]
    assert by_id(read(tmp_path, fps=10))["fps"].to_dict() == {"run": 50, "walk": 10}


def test_openface_s_aligned_folders(tmp_path, shared_data):
    place = tmp_path / "s1"
    place.mkdir()
    for name in ("default.csv", "default_aligned"):
        (place / name).symlink_to(shared_data / "openface_default" / name)
    videos = by_id(read(tmp_path, fps=25))  # the time stamps know better
    columns = ["source", "kind", "n_frames", "fps", "width", "first_number"]
    assert videos.loc["default", columns].tolist() == ["s1/default_aligned", "frames", 288, 15, 224, 1]

    write_video(tmp_path / "s2/default.mp4", 5)  # the original is there: its aligned faces are not needed
    release = read(tmp_path)
    assert by_id(release)["source"].to_dict() == {"default": "s2/default.mp4"}
    assert any("_aligned` of OpenFace left out" in note for note in release.notes)


@pytest.mark.parametrize("fps", [24, 25, 30000 / 1001, 30, 33.37, 60])
def test_the_frame_rate_from_openface_s_time_stamps(tmp_path, fps):
    stamps = [f"{frame}, 0, {(frame - 1) / fps:.3f}" for frame in range(1, 400)]
    (tmp_path / "clip.csv").write_text("\n".join(["frame, face_id, timestamp", *stamps]))
    found, n_frames = custom._openface_clock(tmp_path / "clip.csv")
    assert found == pytest.approx(fps, rel=1e-4) and n_frames == 399
    assert custom._openface_clock(tmp_path / "none.csv") == (None, 0)


def test_hidden_files_own_outputs_and_circles_are_left_out(root):
    write_video(root / ".hidden/x.mp4", 5)
    write_video(root / "anna/._smile.mp4", 5)
    write_video(root / "out/crops/smile.mp4", 5)
    for name in ("videos.csv", "events.csv", "data_issues.csv"):
        (root / "out" / name).write_text("")
    (root / "anna/back").symlink_to(root)
    write_video(root / "alone.mp4", 5)
    assert sorted(read(root).videos["source"]) == ["alone.mp4", "anna/smile.mp4", "ben/talk.avi"]


def test_crops_that_detect_wrote_are_no_videos(root):
    write_video(root / "seen/smile/faces/crops/smile.mp4")
    write_video(root / "ben/faces/laugh.mp4")
    (root / "seen/smile/detections.json").write_text("{}")
    assert sorted(by_id(read(root)).index) == ["laugh", "smile", "talk"]


def test_the_reader_knows_nothing_of_the_stages_above():
    """Imports point up the flow only (architecture.md)."""
    above = {"exchange", "own_video", "features", "training", "viewer"}
    assert above.isdisjoint(Path(path).relative_to(sources.PACKAGE).parts[0] for path in sources.of("dataset/stage.py"))


def test_names_are_made_safe(tmp_path):
    write_video(tmp_path / "Müller & Co/my vidéo (1).mp4", 5)
    write_video(tmp_path / "b/-dash.mp4", 5)
    write_events(
        tmp_path, ["my vidéo (1).mp4,0,1,joy", "Müller & Co\\my vidéo (1).mp4,3,4,joy", "my_vid_o__1_,2,2,joy"]
    )
    release = read(tmp_path)
    assert by_id(release)["subject"].to_dict() == {"my_vid_o__1_": "M_ller___Co", "_-dash": "b"}
    assert sorted(release.events["video_id"]) == ["my_vid_o__1_"] * 3
    changed = release.issues[release.issues["rule"] == "name_made_safe"][["before", "after"]].values.tolist()
    assert ["my vidéo (1)", "my_vid_o__1_"] in changed and ["Müller & Co", "M_ller___Co"] in changed


def test_subjects_that_differ_by_case(root):
    write_video(root / "Anna/wink.mp4", 5)
    write_video(root / "anna/nod.mp4", 5)
    (line,) = refusals(root)
    assert line == "a subject is spelt in two ways (Anna, else anna)"
    release = read(root, strict=False)
    assert set(release.videos["subject"]) == {"anna", "ben"} and rules(release) == ["subject_spelling"]


def test_two_videos_with_one_id(root):
    write_video(root / "ben/smile.mov", 5)
    (line,) = refusals(root)
    assert "two videos with one id (smile: anna/smile.mp4, ben/smile.mov" in line
    write_events(root, ["anna/smile.mp4,0,2,joy", "smile,0,2,joy"])
    release = read(root, strict=False)
    assert sorted(release.videos["video_id"]) == ["anna_smile", "ben_smile", "talk"]
    assert sorted(release.events["video_id"]) == ["anna_smile"]
    assert rules(release) == ["several_videos", "two_videos_with_one_id"]


def test_ids_that_differ_only_by_suffix_take_the_suffix(tmp_path):
    write_video(tmp_path / "s1/a.mp4", 5)
    write_video(tmp_path / "s1/a.avi", 5)
    assert sorted(read(tmp_path, strict=False).videos["video_id"]) == ["s1_a.avi", "s1_a.mp4"]


def test_unreadable_videos(root):
    (root / "ben/words.mp4").write_text("just words")
    (root / "ben/empty.mov").write_bytes(b"")
    write_images(root / "ben/none", [1, 2])
    for path in (root / "ben/none").iterdir():
        path.write_bytes(b"x")
    write_events(root, ["words,1,2,joy", "words,40,52,joy", "talk,5,9,joy"])
    for strict in (True, False):  # broken files do not stop the others; the faces stage leaves them out
        release = read(root, fps=30, strict=strict)
        facts = by_id(release)[["n_frames", "fps"]].loc[["words", "empty", "none"]].values.tolist()
        assert facts == [[53, 30], [1, 30], [1, 30]] and sorted(release.events["video_id"]) == [
            "talk",
            "words",
            "words",
        ]
        told = release.issues[release.issues.rule == "undecodable_video"].set_index("video_id")
        assert sorted(told.index) == ["empty", "none", "words"] and "none of the 2" in told.before["none"]


def test_videos_of_which_none_can_be_decoded_are_refused(tmp_path):
    (tmp_path / "words.mp4").write_text("just words")
    (line,) = refusals(tmp_path)
    assert "none of the videos can be decoded" in line


@pytest.mark.parametrize(
    ("make", "rule"), [(lambda path: None, "no such folder"), (lambda path: path.mkdir(), "no videos")]
)
def test_nothing_there(tmp_path, make, rule):
    make(tmp_path / "x")
    (line,) = refusals(tmp_path / "x")
    assert rule in line


# Annotations only


def test_annotations_only(tmp_path):
    write_events(tmp_path, ["s1/walk.mp4,1,4,joy", "s2/run,2,9,joy", "run.mp4,2,900,joy"])
    with pytest.raises(InputError, match="two videos with one id"):
        read(tmp_path, annotations_only=True)
    write_events(tmp_path, ["s1/walk.mp4,1,4,joy", "s1/walk,7,9,joy", "s2/run.mov,2,900,joy"])
    release = read(tmp_path, annotations_only=True)
    assert by_id(release)["subject"].to_dict() == {"walk": "s1", "run": "s2"}
    assert release.videos[["n_frames", "fps", "width", "height"]].isna().all(axis=None)
    assert release.events["offset"].tolist() == [4, 9, 900]


def test_seconds_need_a_frame_rate_when_the_videos_are_not_there(tmp_path):
    write_events(tmp_path, ["walk,1,2,joy"], "video_id,onset_s,offset_s,emotion")
    assert refusals(tmp_path, annotations_only=True) == [
        "events.csv: row 1: times in seconds need the videos' frame rate: set dataset.fps"
    ]
    events = read(tmp_path, annotations_only=True, fps=25).events
    assert events[["onset", "offset"]].values.tolist() == [[25, 49]]


def test_annotations_only_without_annotations(tmp_path):
    with pytest.raises(InputError, match=r"events\.csv: no such file"):
        read(tmp_path, annotations_only=True)


def test_real_videos(shared_data):
    videos = by_id(read(shared_data / "real_videos"))
    assert videos[["n_frames", "fps"]].values.tolist() == [[288, 15], [842, 30]]
    assert pd.api.types.is_integer_dtype(videos["n_frames"])
