"""The command line: documented commands, results as JSON, bad input in one line with status 2."""

import json

import pandas as pd
import pytest

from fedn_pipeline import cli

COMMANDS = ["dataset", "faces", "pretrain", "features", "folds", "detections", "results", "report", "evaluate", "flops"]
COMMANDS += ["final", "bundle", "detect", "export", "import", "init", "onnx"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, capsys):
    with pytest.raises(SystemExit) as done:
        cli.main([command, "--help"])
    assert done.value.code == 0 and "--settings" in capsys.readouterr().out


@pytest.fixture
def tables(tmp_path):
    """One video, two expressions; one found and named right, one found and named wrong, one false alarm."""
    videos = {"video_id": "v", "subject": "01", "source": "v.mp4", "kind": "video", "n_frames": 300, "fps": 30}
    pd.DataFrame([{**videos, "width": 640, "height": 480}]).to_csv(tmp_path / "videos.csv", index=False)
    rows = [("v", 10, 20, 39, "anger"), ("v", 100, 110, 129, "disgust")]
    events = pd.DataFrame(rows, columns=["video_id", "onset", "apex", "offset", "emotion"])
    events.assign(expression_type="macro", label_set="a", provenance="p").to_csv(tmp_path / "events.csv", index=False)
    rows = [
        ("v", 10, 39, 0.9, "anger"),
        ("v", 100, 125, 0.8, "anger"),
        ("v", 200, 220, 0.7, "anger"),
        ("v", 1, 2, 0.1, "anger"),
    ]
    columns = ["video_id", "onset", "offset", "confidence", "emotion"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "detections.csv", index=False)
    return [f"--{name}={tmp_path / name}.csv" for name in ("videos", "events", "detections")]


def test_evaluate_as_json(tables, capsys):
    assert cli.main(["evaluate", *tables, "--threshold", "0.5", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    wanted = ["tp", "n_predictions", "n_ground_truth", "spotting_f1", "recognition_f1_micro", "recognition_f1_macro"]
    assert list(scores)[:9] == [*wanted, "spotting_map", "detection_map", "strs"]
    assert (scores["tp"], scores["n_predictions"], scores["n_ground_truth"]) == (2, 3, 2)
    assert scores["spotting_f1"] == pytest.approx(4 / 5) and scores["recognition_f1_micro"] == pytest.approx(1 / 2)


def test_bad_input_is_one_message_and_status_2(tables, tmp_path, capsys):
    (tmp_path / "detections.csv").write_text("video_id,onset,offset,confidence,emotion\nw,5,3,0.5,anger\n")
    assert cli.main(["evaluate", *tables, "--threshold", "0.5"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "detections.csv: row 2" in printed.err and "Traceback" not in printed.err


def test_unknown_setting_is_refused(capsys):
    assert cli.main(["flops", "--settings", '{"model": {"embeding": 3}}']) == 2
    assert "did you mean `embedding`?" in capsys.readouterr().err


def test_flops_as_json(capsys):
    assert cli.main(["flops", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert set(cost) == {"total", "backbone", "rest", "gmac", "parameters"}
    assert cost["total"] == pytest.approx(466.4, rel=1e-3) and cost["gmac"] == cost["total"] / 2
    assert cli.main(["flops"]) == 0 and "466.260 GFLOP" in capsys.readouterr().out


def test_stages_want_known_lengths(tables, tmp_path, capsys):
    (tmp_path / "videos.csv").write_text("video_id,subject\nv,01\n")
    command = ["detections", *tables[:2], "--predictions", "p.h5", "--out", str(tmp_path)]
    assert cli.main(command) == 2
    assert "videos.csv: row 2: n_frames must be known for this stage" in capsys.readouterr().err


def test_label_set_without_events_is_refused(tables, tmp_path, capsys):
    command = ["detections", *tables[:2], "--predictions", "p.h5", "--out", str(tmp_path)]
    assert cli.main([*command, "--settings", '{"dataset": {"labels": "self_reported"}}']) == 2
    assert "no event of label set `self_reported` (dataset.labels); there are: a" in capsys.readouterr().err


def test_hostile_video_id_is_refused(tmp_path, capsys):
    assert cli.main(["faces", "my video.mp4", "--out", str(tmp_path)]) == 2
    assert "give another with --video-id" in capsys.readouterr().err
    assert cli.main(["faces", "v.mp4", "--video-id", "../x", "--out", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []


def test_emotion_without_ground_truth_is_warned_of(tables, tmp_path, capsys):
    text = (tmp_path / "detections.csv").read_text().replace("0.7,anger", "0.7,angre")
    (tmp_path / "detections.csv").write_text(text)
    assert cli.main(["evaluate", *tables, "--threshold", "0.5"]) == 0
    assert "emotions without ground truth: angre" in capsys.readouterr().err
