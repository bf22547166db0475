"""What export reads: the files of `detect`, tables of detections and of events; damaged ones are refused by place."""

import copy
import json

import pandas as pd
import pytest

from fedn_pipeline.dataset import tables
from fedn_pipeline.exchange import stage
from fedn_pipeline.files import InputError

SOUND = {
    "video": {"id": "clip", "file": "clip.mp4", "n_frames": 50, "fps": 25.0, "duration_s": 2.0, "variable_rate": False},
    "times_s": None,
    "detections": [{"onset": 3, "offset": 9, "emotion": "joy", "confidence": 0.7, "kept": True}],
}


def changed(*place, to):
    document = copy.deepcopy(SOUND)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = to
    return document


def write_document(folder, video, text):
    (folder / video).mkdir()
    (folder / video / "detections.json").write_text(text)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (changed("detections", 0, "offset", to=50), "detection 1: frames 3 to 50 of 50"),
        (changed("detections", 0, "onset", to=10), "detection 1: frames 10 to 9"),
        (changed("detections", 0, "confidence", to=float("nan")), "detection 1: `confidence` is nan"),
        (changed("detections", 0, "kept", to=1), "detection 1: `kept` is 1"),
        (changed("detections", 0, "onset", to=True), "detection 1: `onset` is True"),
        (changed("detections", 0, to=[]), "detection 1: `onset` is None"),
        (changed("video", "fps", to=0), "fps and n_frames must be above 0"),
        (changed("video", "id", to=7), "video: `id` is 7"),
        (changed("times_s", to=[0.0, 0.1]), "times_s has the shape [2], but there are 50 frames"),
        (changed("times_s", to=["soon"]), "times_s holds something else than numbers"),
        (changed("times_s", to=[0.0] * 50), "times_s must be finite and grow"),
        ({"video": 1}, "not what `fedn-pipeline detect` wrote"),
    ],
)
def test_damaged_detections(tmp_path, document, said):
    write_document(tmp_path, "clip", json.dumps(document))
    with pytest.raises(InputError) as error:
        stage.export(tmp_path, "elan", tmp_path / "out")
    assert said in str(error.value) and not (tmp_path / "out").exists()


def test_two_files_of_one_video_and_others_beside(tmp_path):
    (tmp_path / "summary.json").write_text("[]")
    write_document(tmp_path, "clip", json.dumps(SOUND))
    assert stage.export(tmp_path, "boris", tmp_path / "out").startswith("1 expressions of 1 videos")
    assert "confidence 0.7" in (tmp_path / "out/annotations.csv").read_text()
    write_document(tmp_path, "copy", json.dumps(SOUND))
    with pytest.raises(InputError, match="a second file for video 'clip'"):
        stage.export(tmp_path, "boris", tmp_path / "again")


def test_detections_none_of_which_is_kept_are_still_results(tmp_path):
    write_document(tmp_path, "clip", json.dumps(changed("detections", to=[])))
    stage.export(tmp_path, "activitynet", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["results"] == {"clip": []}


def test_an_absurd_length_costs_no_memory(tmp_path):
    write_document(tmp_path, "clip", json.dumps(changed("video", "n_frames", to=10**15)))
    assert stage.export(tmp_path, "elan", tmp_path / "out").startswith("1 expressions")


def test_a_call_of_which_every_video_failed(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps({"videos": [], "failed": {"clip.mp4": "broken"}}))
    with pytest.raises(InputError, match=r"summary\.json: the last call of `detect` could use none of its videos"):
        stage.export(tmp_path, "elan", tmp_path / "out")


def write_tables(folder, **columns):
    sources = {"video_id": ["a", "b"], "source": ["x/t.mp4", "x/t.avi"], "subject": "s", "kind": "video"}
    tables.write_videos(folder / "videos.csv", pd.DataFrame(sources | {"n_frames": 100, "fps": 25}))
    rows = {"video_id": ["a", "b"], "onset": 2, "offset": [5, 9], "confidence": [0.9, 0.2], "emotion": "joy"}
    tables.write_detections(folder / "detections.csv", pd.DataFrame(rows | columns))


def test_a_table_of_detections(tmp_path):
    write_tables(tmp_path, kept=[True, False])
    given = tmp_path / "detections.csv", "activitynet", tmp_path / "out.json", tmp_path / "videos.csv"
    stage.export(*given)
    results = json.loads((tmp_path / "out.json").read_text())["results"]
    assert results == {"a": [{"segment": [0.08, 0.24], "label": "joy", "score": 0.9}], "b": []}
    assert stage.export(*given, threshold=0.1, force=True).startswith("2 expressions")


def test_a_table_of_detections_without_the_mark(tmp_path):
    write_tables(tmp_path)
    with pytest.raises(InputError, match="no column `kept`: give --threshold"):
        stage.export(tmp_path / "detections.csv", "boris", tmp_path / "out", tmp_path / "videos.csv")


def test_videos_that_would_share_a_file(tmp_path):
    write_tables(tmp_path, kept=True)
    given = tmp_path / "detections.csv", "elan", tmp_path / "out", tmp_path / "videos.csv"
    with pytest.raises(InputError, match="videos 'a' and 'b' would share this file"):
        stage.export(*given)
    with pytest.raises(InputError, match="2 videos need a file each"):
        stage.export(*given[:2], tmp_path / "one.eaf", given[3])


def test_a_way_out_of_the_folder(tmp_path):
    """Paths of a table stay below --out."""
    write_document(tmp_path, "clip", json.dumps(changed("video", "file", to="../../clip.mp4")))
    stage.export(tmp_path, "elan", tmp_path / "a/b/out")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.eaf")] == ["a/b/out/clip.eaf"]
