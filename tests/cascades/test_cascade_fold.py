"""Folds of a cascade and of STR: what they keep of the spotter, what they write, what has no say, what is refused."""

import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import planted
import pytest
from safetensors import safe_open

from fedn_pipeline import cli, config, cost
from fedn_pipeline.cascades import fold
from fedn_pipeline.dataset.tables import read_detections, write_events, write_videos
from fedn_pipeline.evaluation.metrics import evaluate
from fedn_pipeline.files import InputError, read_json, sha256
from fedn_pipeline.report.results import protocol, weights_text

FILES = ("checkpoint.safetensors", "detections.csv", "fold.json", "threshold.json", "training_log.csv")
CHEAP = config.merge(planted.SETTINGS, {"cefl": {"epochs": 1}, "str": {"spotter_epochs": 1, "recogniser_epochs": 1}})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    planted.write_features(folder / "planted.h5")
    planted.write_flow(folder / "gap12.h5")
    spotter = folder / "without_recognition/seed0/folds/p1"
    planted.write_spotter(spotter)
    return fold.Inputs(features=folder / "planted.h5", flow=folder / "gap12.h5", spotter=spotter)


def run(inputs, folder, method="cascade", recogniser="cefl", settings=planted.SETTINGS, events=None, seed=0):
    videos, truth = planted.tables()
    events = truth if events is None else events
    chosen = {"folds": {"method": method}, "cascade": {"recogniser": recogniser, "spotter": "without_recognition"}}
    fold.run(videos, events, truth[:0], inputs, "p1", folder, config.merge(settings, chosen), seed)
    return folder


@pytest.mark.parametrize("recogniser", ["cefl", "str"])
def test_a_cascade_keeps_all_but_the_emotion(recogniser, inputs, tmp_path):
    run(inputs, tmp_path, recogniser=recogniser)
    made = {path.name for path in tmp_path.iterdir() if path.suffix != ".sha256"}
    assert made == {*FILES, cost.NAME} and read_json(tmp_path / cost.NAME)["seconds"] is None  # its spotter's
    videos, events = planted.tables()
    theirs, ours = (read_detections(at / "detections.csv", videos) for at in (inputs.spotter, tmp_path))
    pd.testing.assert_frame_equal(ours.drop(columns="emotion"), theirs.drop(columns="emotion"), check_exact=True)
    assert set(ours.emotion) <= set(planted.EMOTIONS)
    test = videos[videos.video_id == "v1"], events[events.video_id == "v1"]
    scores = [evaluate(*test, table) for table in (theirs, ours)]
    for name in ("spotting_f1", "spotting_map", "tp", "n_predictions"):
        assert scores[0][name] == scores[1][name] is not None
    assert scores[1]["recognition_f1_micro"] == 1  # of a subject that gave no gradient

    threshold = json.loads((tmp_path / "threshold.json").read_text())
    assert threshold["threshold"] == 0.5 and threshold["protocol"] == "held_out by without_recognition"
    record = json.loads((tmp_path / "fold.json").read_text())
    words = {"cefl": "CEFLNet on frozen features, 20 steps of 8 intervals", "str": "STR on planted flow, "}[recogniser]
    assert record["training"].startswith(
        f"intervals: without_recognition (focal loss, 3 steps of 4 windows); emotions: {words}"
    )
    assert record["test_videos"] == ["v1"] and weights_text(record) == "planted (abc), planted"
    assert "held_out by without_recognition" in protocol({**threshold, **record})
    log = pd.read_csv(tmp_path / "training_log.csv")
    assert log.held_out_accuracy.iloc[-1] == 1 and np.isfinite(log.loss).all()
    with safe_open(tmp_path / "checkpoint.safetensors", "pt") as file:
        metadata = json.loads(file.metadata()["fedn_pipeline"])
        assert any(name.startswith({"cefl": "classifier", "str": "recogniser"}[recogniser]) for name in file.keys())  # noqa: SIM118
    assert metadata["classes"] == planted.EMOTIONS and metadata["held_out"] == "p1"
    assert set(metadata["settings"]) == {"cascade", "folds", "training", recogniser}


def test_str_whole(inputs, tmp_path):
    """No threshold in the world helps on one's own: it is the held-out training subject's (p2)."""
    run(fold.Inputs(flow=inputs.flow), tmp_path, method="str")
    made = {path.name for path in tmp_path.iterdir() if path.suffix != ".sha256"}
    assert made == {*FILES, cost.NAME}
    measured = read_json(tmp_path / cost.NAME)
    with safe_open(tmp_path / "checkpoint.safetensors", "np") as file:
        learnt = [name for name in file.keys() if not re.search("scale|running_|num_batches", name)]  # noqa: SIM118
        assert measured["parameters"] == sum(file.get_tensor(name).size for name in learnt)
    assert measured["frames"] == planted.STEPS and measured["gflop_per_minute"] > 0
    videos, events = planted.tables()
    found = read_detections(tmp_path / "detections.csv", videos)
    scores = evaluate(videos[videos.video_id == "v1"], events[events.video_id == "v1"], found)
    assert scores["spotting_f1"] == 1 and scores["recognition_f1_micro"] == 1
    threshold = json.loads((tmp_path / "threshold.json").read_text())
    assert threshold["protocol"] == "held_out" and threshold["chosen_on"] == ["v2"]
    assert (threshold["half_expression"], threshold["gap"]) == (planted.LENGTH / 2, planted.GAP)
    assert (found.kept == (found.confidence >= threshold["threshold"])).all()
    record = json.loads((tmp_path / "fold.json").read_text())
    assert weights_text(record) == "gap12 (none), planted flow"
    assert set(pd.read_csv(tmp_path / "training_log.csv").network) == {"spotter", "recogniser"}


@pytest.mark.parametrize(("method", "recogniser"), [("cascade", "cefl"), ("cascade", "str"), ("str", "str")])
def test_repeats_byte_for_byte_and_the_test_subject_has_no_say(method, recogniser, inputs, tmp_path):
    """Other labels of the test subject, and an emotion that only it shows, change no byte; another face of it (features
    and flow) none of what is learnt and chosen; another seed does."""
    _, events = planted.tables()
    moved = events.copy()
    moved.loc[moved.video_id == "v1", ["onset", "apex", "offset"]] += 7
    moved.loc[(moved.video_id == "v1") & (moved.onset < 100), "emotion"] = "fear"
    folders = [
        run(inputs, tmp_path / name, method, recogniser, CHEAP, table)
        for name, table in (("first", events), ("second", events), ("moved", moved))
    ]
    for name in FILES:
        assert len({sha256(folder / name) for folder in folders}) == 1, name
    other = fold.Inputs(tmp_path / inputs.features.name, tmp_path / inputs.flow.name, inputs.spotter)
    for source, copy in ((inputs.features, other.features), (inputs.flow, other.flow)):
        shutil.copy(source, copy)
        with h5py.File(copy, "r+") as file:
            for name in {"features", "magnitude"} & set(file["v1"]):
                file["v1"][name][...] *= 3
    run(other, tmp_path / "face", method, recogniser, CHEAP)
    for name in ("checkpoint.safetensors", "training_log.csv", "threshold.json", "fold.json"):
        assert sha256(tmp_path / "face" / name) == sha256(folders[0] / name), name
    if method == "str":
        run(inputs, tmp_path / "seed", method, recogniser, CHEAP, seed=1)
        assert sha256(tmp_path / "seed/checkpoint.safetensors") != sha256(folders[0] / "checkpoint.safetensors")


@pytest.mark.parametrize(("method", "recogniser"), [("cascade", "cefl"), ("cascade", "str"), ("str", "str")])
def test_one_unnamed_expression_stops_nothing(method, recogniser, inputs, tmp_path, capsys):
    _, events = planted.tables()
    events.loc[events.index[0], "emotion"] = ""
    run(inputs, tmp_path, method, recogniser, CHEAP, events)
    said = capsys.readouterr().err
    assert "1 of 9 expressions name no emotion and teach none (the first: video v0, onset 40)" in said
    assert (tmp_path / "detections.csv").exists()


@pytest.mark.parametrize(("method", "recogniser"), [("cascade", "cefl"), ("cascade", "str"), ("str", "str")])
def test_held_out_subjects_without_an_expression_leave_gaps_in_the_log(method, recogniser, inputs, tmp_path):
    _, events = planted.tables()
    run(inputs, tmp_path, method, recogniser, CHEAP, events[events.video_id != "v2"])
    log = pd.read_csv(tmp_path / "training_log.csv")
    named = log if recogniser == "cefl" else log[log.network == "recogniser"]
    assert len(named) and named[["held_out_loss", "held_out_accuracy"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("method", "recogniser", "end_to_end", "sections"),
    [
        ("cascade", "cefl", False, {"cascade", "cefl"}),
        ("cascade", "cefl", True, {"backbone", "cascade", "cefl"}),
        ("cascade", "str", True, {"cascade", "str"}),
        ("str", "cefl", True, {"str"}),
    ],
)
def test_only_what_was_read_is_recorded(method, recogniser, end_to_end, sections):
    """Defaults of keys that the rule does not hand over must not overrule, in the report, what the experiment says."""
    given = {"folds": {"method": method}, "cascade": {"recogniser": recogniser}, "cefl": {"end_to_end": end_to_end}}
    settings = config.merge(CHEAP, given)
    used = fold._used(settings)
    assert set(used) == {"folds", "training"} | sections
    assert set(used["training"]) == {"threads", "held_out_fraction"}
    assert set(used.get("backbone", ())) <= {"input_size", "mean", "std"}
    assert all(settings[section][key] == value for section, keys in used.items() for key, value in keys.items())


def test_no_detection_at_all_is_an_empty_table(inputs, tmp_path):
    empty = tmp_path / "fedn/seed0/folds/p1"
    planted.write_spotter(empty)
    pd.read_csv(empty / "detections.csv")[:0].to_csv(empty / "detections.csv", index=False)
    for recogniser in ("cefl", "str"):
        given = fold.Inputs(inputs.features, inputs.flow, empty)
        run(given, tmp_path / recogniser, recogniser=recogniser, settings=CHEAP)
        assert len(pd.read_csv(tmp_path / recogniser / "detections.csv")) == 0


def test_what_does_not_fit_is_refused(inputs, tmp_path):
    _, events = planted.tables()
    with pytest.raises(InputError, match="folds, cascade: give --spotter, --features"):
        run(fold.Inputs(), tmp_path)
    with pytest.raises(InputError, match="folds, str: give --flow"):
        run(fold.Inputs(features=inputs.features, spotter=inputs.spotter), tmp_path, recogniser="str")
    end_to_end = config.merge(CHEAP, {"cefl": {"end_to_end": True}})
    with pytest.raises(InputError, match="folds, cefl: give --faces, --weights"):
        run(inputs, tmp_path, settings=end_to_end)
    planted.write_spotter(tmp_path / "other", held_out="p2")
    with pytest.raises(InputError, match=r"other/fold\.json: not this fold's spotter: held_out is p2"):
        run(fold.Inputs(inputs.features, spotter=tmp_path / "other"), tmp_path)
    with pytest.raises(InputError, match="not this fold's spotter: seed is 0"):
        run(inputs, tmp_path, seed=1)
    with pytest.raises(InputError, match=r"absent/fold\.json: cannot be read as JSON"):
        run(fold.Inputs(inputs.features, spotter=tmp_path / "absent"), tmp_path)
    nothing = r"without p1: no expression that names an emotion in the 2 video\(s\) to train on"
    for recogniser, left in (("cefl", events.assign(emotion="")), ("cefl", events[events.video_id == "v1"])):
        with pytest.raises(InputError, match=nothing):
            run(inputs, tmp_path, recogniser=recogniser, events=left)
    with pytest.raises(InputError, match=nothing):
        run(inputs, tmp_path, recogniser="str", events=events[events.video_id == "v1"])
    assert not (tmp_path / "detections.csv").exists()


def test_command(inputs, tmp_path, capsys):
    videos, events = planted.tables()
    write_videos(tmp_path / "videos.csv", videos)
    write_events(tmp_path / "events.csv", events)
    shared = ["folds", "--videos", str(tmp_path / "videos.csv"), "--events", str(tmp_path / "events.csv")]
    shared += ["--held-out", "p1", "--out", str(tmp_path / "fold"), "--settings"]
    given = {"folds": {"method": "cascade"}, "cefl": {"epochs": 1}, "cascade": {"spotter": "without_recognition"}}
    paths = ["--features", str(inputs.features), "--spotter", str(inputs.spotter)]
    assert cli.main([*shared, json.dumps(given), *paths]) == 0
    assert (tmp_path / "fold/detections.csv").exists()
    assert cli.main([*shared, json.dumps({"folds": {"method": "str"}})]) == 2
    assert "folds, str: give --flow" in capsys.readouterr().err
    assert cli.main([*shared, json.dumps({"folds": {"method": "classic"}})]) == 2
    assert cli.main(["flow", "--out", str(tmp_path / "f.h5")]) == 2
    assert "flow: give --videos, --faces and --gap (or --merge)" in capsys.readouterr().err


@pytest.mark.parametrize("spotter", ["fedn", "without_recognition"])
@pytest.mark.parametrize("recogniser", ["cefl", "str"])
def test_experiments_say_what_their_names_say(spotter, recogniser):
    files = Path(__file__).resolve().parents[2] / "config/experiments"
    written = config.read_yaml(files / f"{spotter}+{recogniser}.yaml")
    assert written == {"folds": {"method": "cascade"}, "cascade": {"spotter": spotter, "recogniser": recogniser}}
    assert (files / f"{spotter}.yaml").is_file()
    assert config.read_yaml(files / "str.yaml") == {"folds": {"method": "str"}}
