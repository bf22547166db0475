"""The reader `custom` on ELAN's files beside the videos."""

import pytest
from exchange.annotators import eaf
from own_videos import by_id, read, refusals, two_subjects, write_events, write_variable

from fedn_pipeline.dataset import custom
from fedn_pipeline.files import InputError


@pytest.fixture
def root(tmp_path):
    return two_subjects(tmp_path)


def annotate(path, *entries, **others):
    path.parent.mkdir(exist_ok=True)
    path.write_text(eaf({"expressions": list(entries)}, **others), encoding="utf-8")


def test_a_file_of_elan_beside_its_video(root):
    """The place decides, whatever the file links to; 30 and 15 fps."""
    annotate(root / "anna/smile.eaf", (100, 333, "happiness"), (500, 533, "surprise"))
    annotate(root / "ben/talk.eaf", (0, 4000, "sadness"))
    release = read(root)
    columns = ["video_id", "onset", "offset", "emotion", "provenance"]
    assert release.events[columns].values.tolist() == [
        ["smile", 3, 9, "happiness", "anna/smile.eaf:tier 'expressions', annotation a1"],
        ["smile", 15, 15, "surprise", "anna/smile.eaf:tier 'expressions', annotation a2"],
        ["talk", 0, 59, "sadness", "ben/talk.eaf:tier 'expressions', annotation a1"],
    ]
    assert set(by_id(release)["split"]) == {"train"} and release.notes == [] and not len(release.issues)


def test_a_video_of_variable_rate_goes_by_its_time_stamps(root):
    write_variable(root / "ben/slow.mp4")
    annotate(root / "ben/slow.eaf", (900, 3500, "happiness"), (6600, 7500, "surprise"))
    release = read(root)
    assert release.events[["onset", "offset"]].values.tolist() == [[27, 74], [106, 114]]
    assert not len(release.issues)
    video = by_id(release).loc["slow"]
    assert video["variable_rate"] and video["fps"] == pytest.approx(15, abs=0.2)
    assert not by_id(release).loc["smile", "variable_rate"]
    (root / "ben/slow.eaf").unlink()
    write_events(root, ["slow,0.9,3.5,joy"], "video_id,onset_s,offset_s,emotion")
    assert read(root).events[["onset", "offset"]].values.tolist() == [[27, 74]]
    write_events(root, ["slow,9,10,joy"], "video_id,onset_s,offset_s,emotion")
    (line,) = refusals(root)
    assert "the interval ends after the last frame" in line and "last frame 119 (7.900 s)" in line


def test_files_of_elan_in_a_folder_of_their_own_and_hidden_ones(root):
    annotate(root / "annotations/smile.eaf", (100, 333, "happiness"))
    annotate(root / "anna/._smile.eaf", (100, 333, "anger"))
    annotate(root / "ben/talk.eaf")
    release = read(root)
    assert release.events["emotion"].tolist() == ["happiness"]
    assert release.notes == ["ben/talk.eaf: no annotations"]


def test_every_problem_at_once(root):
    annotate(root / "anna/smile.eaf", (900, 1034, "happiness"), (100, 101, "happiness"), (0, 40, "=1+1"))
    annotate(root / "ben/tolk.eaf", (0, 400, "happiness"))
    (root / "ben/talk.eaf").write_text("<x>")
    lines = refusals(root)
    assert len(lines) == 6
    said = "\n".join(lines)
    assert "anna/smile.eaf: row 1: the interval ends after the last frame" in said
    assert "anna/smile.eaf: row 2: the interval is shorter than one frame" in said
    assert "anna/smile.eaf: row 3: emotion '=1+1' is a formula" in said
    assert "ben/tolk.eaf: row 1: no such video ('tolk'; did you mean 'talk'?)" in said
    assert "ben/talk.eaf: line 1: <x> is no document of ELAN" in said
    assert "ben/talk.eaf: or make events.csv of it: fedn-pipeline import" in said


def test_repaired_or_dropped_where_that_is_asked_for(root):
    annotate(root / "anna/smile.eaf", (900, 1034, "happiness"), (100, 101, "happiness"), (100, 200, "Happiness"))
    release = read(root, strict=False)
    kept = release.events[["onset", "offset", "emotion"]].values.tolist()
    assert kept == [[27, 29, "happiness"], [3, 5, "happiness"]]
    assert {"past_the_end", "shorter_than_a_frame", "emotion_spelling"} == set(release.issues["rule"])


def test_two_files_of_one_video_are_refused(root):
    annotate(root / "anna/smile.eaf", (100, 333, "happiness"))
    annotate(root / "second_annotator/smile.eaf", (100, 366, "happiness"))
    (line,) = refusals(root)
    assert line == "second_annotator/smile.eaf: also for video 'smile': anna/smile.eaf; move one away"


def test_two_sources_of_labels_are_refused(root):
    annotate(root / "anna/smile.eaf", (100, 333, "happiness"))
    write_events(root, ["smile,3,9,happiness"])
    (line,) = refusals(root)
    assert "events.csv: there are also 1 file(s) of ELAN (the first: anna/smile.eaf)" in line


def test_the_videos_of_a_folder(root):
    found = custom.videos_in(root, {"strict": True, "fps": None})
    facts = [(item.video_id, item.path.as_posix(), item.n_frames, item.fps) for item in found]
    assert facts == [("smile", "anna/smile.mp4", 30, 30.0), ("talk", "ben/talk.avi", 60, 15.0)]
    (root / "anna/smile.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="no such folder"):
        custom.videos_in(root / "none", {"strict": True, "fps": None})
    assert [item.video_id for item in custom.videos_in(root, {"strict": True, "fps": None})] == ["talk"]
