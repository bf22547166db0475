"""`fedn_pipeline.detect` and `fedn_pipeline.timeline`."""

import copy

import pandas as pd
import pytest

import fedn_pipeline
from fedn_pipeline import cli
from fedn_pipeline.files import InputError
from fedn_pipeline.own_video import api, detect


@pytest.fixture(scope="module")
def found(talk, bundle, tmp_path_factory):
    """`(table, folder of results)` of one good and one bad video; the good one's name reads as a missing number."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "NA.mp4").write_bytes(talk.read_bytes())
    (folder / "bad.mp4").write_bytes(b"no video")
    return fedn_pipeline.detect(folder, bundle, folder / "seen", threshold=0.0), folder


def test_a_folder_with_a_bad_video(found):
    table, _ = found
    assert set(table.video_id) == {"NA"} and table.kept.all() and table.kept.dtype == bool
    assert (table.onset <= table.apex).all() and table.score_happiness.between(0, 1).all()
    assert list(table.columns) == detect.columns([name[6:] for name in table.columns if name.startswith("score_")])


def test_a_bad_file_raises_and_returns_no_older_table(found, bundle, monkeypatch):
    def here(command, *_):  # a process of its own takes seconds to start
        return cli.main(command[3:]), []

    _, folder = found
    monkeypatch.setattr(api, "_run", here)
    with pytest.raises(InputError, match=r"bad\.mp4: cannot be read as a video"):
        fedn_pipeline.detect(folder / "bad.mp4", bundle, folder / "seen")


def test_a_crash_raises_and_returns_no_older_table(tmp_path, monkeypatch):
    """Python's status after an exception is that of going on after a bad video."""
    (tmp_path / "summary.json").write_text('{"videos": [], "failed": {}}')
    (tmp_path / "detections.csv").write_text("video_id,emotion,kept\n")
    monkeypatch.setattr(api.sys, "executable", "false")
    with pytest.raises(InputError, match="ended with status 1"):
        fedn_pipeline.detect(tmp_path, "model", tmp_path)


def test_what_a_command_says_is_passed_on_but_for_what_will_be_gone(capsys):
    lines = ["clip: 10 frame/s", "3 expressions: /tmp/scratch/clip/index.html", "WARNING: dark"]
    command = [api.sys.executable, "-c", f"print({chr(10).join(lines)!r})"]
    assert api._run(command, True, "/tmp/scratch") == (0, ["3 expressions", "WARNING: dark"])
    assert capsys.readouterr().out == "clip: 10 frame/s\r3 expressions\nWARNING: dark\n"
    assert api._run([api.sys.executable, "-c", "import sys; sys.exit('no')"], False, None) == (1, ["no"])
    assert capsys.readouterr().out == ""


def test_the_figure_has_a_lane_for_each_emotion(found):
    table, _ = found
    classes = table.attrs[api.VIDEOS]["NA"]["classes"]
    for one in (table, table[table.onset > 0], pd.DataFrame(table.to_dict("list"))):
        lanes, curve = fedn_pipeline.timeline(one).axes
        wanted = set(classes) if one.attrs else set(one.emotion)
        assert {label.get_text() for label in lanes.get_yticklabels()} == wanted
        assert len(lanes.patches) >= len(one) > 0 and len(curve.collections) == bool(one.attrs)
    with pytest.raises(InputError, match="no video 'talk'; there are"):
        fedn_pipeline.timeline(table, "talk")


def test_attributes_are_not_copied(found):
    seen = found[0].attrs[api.VIDEOS]
    assert copy.deepcopy(seen) is seen and found[0].head(2).attrs[api.VIDEOS] is seen


def test_detections_without_an_emotion(tmp_path):
    rows = {"video_id": "a", "emotion": "", "onset_s": [0.1], "offset_s": 0.5, "kept": True}
    (lanes, _) = fedn_pipeline.timeline(pd.DataFrame(rows)).axes
    assert [label.get_text() for label in lanes.get_yticklabels()] == ["expression"]


def test_the_default_model_is_also_looked_for_beside_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "PROJECT", tmp_path / "project")
    assert api._default_model() is None
    there = tmp_path / "project/results/demo/bundle/bundle.json"
    there.parent.mkdir(parents=True)
    there.write_text("{}")
    assert api._default_model() == there.parent
