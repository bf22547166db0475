"""Values that are not finite, and folds that lack something: an error with its place, or a result that is right."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from faults import material
from workflow.project import copied, run

from fedn_pipeline import cli, tensor_file
from fedn_pipeline.features import cache
from fedn_pipeline.training import predictions

SMALL = material.settings()


@pytest.fixture
def data(tmp_path):
    """Tables of four subjects with a video each, their features and flow."""
    videos, events = material.tables(tmp_path)
    material.write_features(tmp_path / "features.h5", videos)
    return tmp_path, videos, events


def write(folder, videos, events):
    videos.to_csv(folder / "videos.csv", index=False)
    events.to_csv(folder / "events.csv", index=False)


def fold(folder, held_out, method="fedn", **further):
    """Status of a fold through the commands `folds` and, for the network, `detections`; it writes to out/HELD_OUT."""
    described = ["--videos", folder / "videos.csv", "--events", folder / "events.csv"]
    out, settings = folder / "out" / held_out, material.settings(folds={"method": method}, **further)
    command = ["folds", *described, "--features", folder / "features.h5", "--held-out", held_out, "--out", out]
    if method == "str":
        command += ["--flow", folder / "flow.h5"]
    status = cli.main([str(word) for word in [*command, *settings]])
    if status or method != "fedn":
        return status
    command = ["detections", *described, "--predictions", out / "predictions.h5", "--out", out, *settings]
    return cli.main([str(word) for word in command])


def found(folder, held_out):
    """`(detections.csv, threshold.json)` of a fold."""
    out = folder / "out" / held_out
    table = pd.read_csv(out / "detections.csv", keep_default_na=False)
    return table, json.loads((out / "threshold.json").read_text())


def refusal(capsys):
    """The one line that a command has printed instead of a traceback."""
    said = capsys.readouterr().err
    (line,) = [line for line in said.splitlines() if line.startswith("fedn-pipeline ")]
    return line


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["fedn", "classic"])
def test_a_feature_that_is_not_finite_is_named_by_file_video_and_step(method, value, data, capsys):
    folder, _, _ = data
    with h5py.File(folder / "features.h5", "r+") as file:
        file["v2/features"][77, 5] = value
    (folder / "features.h5.sha256").unlink()  # somebody else's file: its bytes are what they were meant to be
    assert fold(folder, "p0", method) == 2
    assert f"features.h5: video v2: not finite: {value} at step 77 of the 30 fps axis" in refusal(capsys)
    assert not [path for path in (folder / "out").rglob("*") if path.is_file()]


def test_a_clip_that_is_not_finite_is_named_by_its_frame(tmp_path):
    with h5py.File(tmp_path / "clips.h5", "w") as file:
        values = np.ones((10, 8), dtype=np.float16)
        values[7, 3] = np.nan
        cache.write_group(file, "v", cache.Features(values, np.ones(10, dtype=bool), {"frame_stride": 2}))
    with pytest.raises(cache.InputError, match="video v: not finite: nan at step 14 of the 30 fps axis"):
        cache.read(tmp_path / "clips.h5", "v")


@pytest.mark.parametrize("place", ["features", "magnitude"])
def test_flow_that_is_not_finite_is_named(place, data, capsys):
    folder, videos, _ = data
    material.write_flow(folder / "flow.h5", videos)
    with h5py.File(folder / "flow.h5", "r+") as file:
        file[f"v1/{place}"][...] = np.nan
    (folder / "flow.h5.sha256").unlink()
    assert fold(folder, "p0", "str") == 2
    assert "flow.h5: video v1: flow is not finite at step " in refusal(capsys)


@pytest.mark.parametrize(("scale", "said"), [(1e6, "up to "), (np.nan, "up to nan")])
def test_features_that_cannot_be_cached_name_the_video_and_the_frame(scale, said, tmp_path, capsys):
    """Beyond 65504 half precision has only infinity, which single precision has not."""
    videos, _ = material.tables(tmp_path, subjects=1, n_frames=material.N_FRAMES)
    material.write_faces(tmp_path, videos)
    torch.manual_seed(0)
    weights = material.resnet18(num_classes=2).state_dict()
    weights["layer4.1.bn2.weight"][:] = scale
    tensor_file.save(tmp_path / "w.safetensors", weights, {"origin": "test"})
    command = ["features", "--videos", tmp_path / "videos.csv", "--faces", tmp_path, "--weights"]
    command += [tmp_path / "w.safetensors", "--out", tmp_path / "f.h5", *SMALL]
    assert cli.main(list(map(str, command))) == 2
    line = refusal(capsys)
    assert "crops/v0.mp4: features are not finite in half precision (frame 0: " in line and said in line
    assert not (tmp_path / "f.h5").exists()


def test_a_loss_that_is_not_finite_names_fold_and_step(data, capsys):
    folder, _, _ = data
    assert fold(folder, "p0", training={"steps": 6, "batch_size": 2, "learning_rate": 1e30}) == 2
    line = refusal(capsys)
    assert "without p0: step " in line and "not finite" in line
    assert not [path for path in (folder / "out").rglob("*") if path.is_file()]


def test_nobody_to_train_on_shows_an_expression(data, capsys):
    """All are of the test subject and of the one that holds the threshold."""
    folder, videos, events = data
    write(folder, videos, events[events.video_id.isin(["v0", "v1"])])
    assert fold(folder, "p0") == 2
    line = refusal(capsys)
    assert (
        "events.csv: without p0: no expression that names an emotion in the 2 video(s) to train on (v2 v3; 3 in" in line
    )
    assert fold(folder, "p0", model={**material.NARROW, "recognition": False}) == 2
    assert "no expression in the 2 video(s) to train on" in refusal(capsys)
    for method in ("chance", "classic"):  # nothing is trained
        assert fold(folder, "p0", method) == 0


def test_those_that_hold_the_threshold_show_no_expression(data):
    """Nothing can be right there, so the threshold is one that keeps as little as possible."""
    folder, videos, events = data
    write(folder, videos, events[events.video_id != "v1"])
    assert fold(folder, "p0") == 0
    table, threshold = found(folder, "p0")
    assert threshold["n_ground_truth"] == 0 and threshold["tp"] == 0 and threshold["chosen_on"] == ["v1"]
    assert np.isfinite(threshold["threshold"]) and set(table.kept) <= {0, 1}


def test_the_test_subject_shows_no_expression(data):
    """It is predicted as any other: its labels do not matter."""
    folder, videos, events = data
    assert fold(folder, "p0") == 0
    before, _ = found(folder, "p0")
    write(folder, videos, events[events.video_id != "v0"])
    assert fold(folder, "p0") == 0
    assert found(folder, "p0")[0].equals(before)


def test_an_emotion_of_the_test_subject_alone_counts_as_missed(data, capsys):
    """No class, no detection; the table's recognition counts it as wrong."""
    folder, videos, events = data
    events.loc[events.video_id == "v0", "emotion"] = "fear"
    write(folder, videos, events)
    for held_out in videos.subject:
        assert fold(folder, held_out) == 0
    assert predictions.read(folder / "out/p0/predictions.h5")[1] == material.EMOTIONS
    (folder / "folds/fedn/seed0").mkdir(parents=True)
    (folder / "out").rename(folder / "folds/fedn/seed0/folds")
    command = ["results", "--dataset", "x", "--videos", folder / "videos.csv", "--events", folder / "events.csv"]
    command += ["--folder", folder / "folds", "--out", folder / "table"]
    command += material.settings(run={"experiments": ["fedn"]})
    assert cli.main(list(map(str, command))) == 0
    row = pd.read_csv(folder / "table.csv").iloc[0]
    assert row.n_ground_truth == 12 and row.detection_map < 1


def test_an_emotion_of_those_that_hold_the_threshold_alone_is_warned_of(data, capsys):
    folder, videos, events = data
    events.loc[events.video_id == "v1", "emotion"] = "fear"
    write(folder, videos, events)
    assert fold(folder, "p0") == 0
    warning = "WARNING: events.csv: without p0: only the subjects that the threshold is chosen on show fear"
    assert warning in capsys.readouterr().err
    assert predictions.read(folder / "out/p0/predictions.h5")[1] == [
        *material.EMOTIONS[:1],
        "fear",
        material.EMOTIONS[1],
    ]


@pytest.mark.parametrize("method", ["fedn", "classic", "chance"])
@pytest.mark.parametrize("kind", ["one frame", "shorter than a window", "no face"])
def test_a_video_that_is_nearly_nothing(kind, method, data):
    """Of the test subject, and, in the fold beside it, of one that is trained on."""
    folder, videos, events = data
    frames = {"one frame": 1, "shorter than a window": 60, "no face": material.STEPS}[kind]
    videos.loc[0, "n_frames"] = frames
    events = events[(events.video_id != "v0") | (events.offset < frames)]
    write(folder, videos, events)

    def nobody(values, valid):
        values[:], valid[:] = 0, kind != "no face"

    material.write_features(folder / "features.h5", videos, change={"v0": nobody})
    for held_out in ("p0", "p2"):
        assert fold(folder, held_out, method) == 0
        table, threshold = found(folder, held_out)
        assert np.isfinite(threshold["threshold"]) and np.isfinite(table.confidence.astype(float)).all()
        assert (table.offset < table.video_id.map(videos.set_index("video_id").n_frames)).all()
        if held_out == "p0" and kind == "no face":
            assert not len(table)


def test_subjects_with_one_video_beside_subjects_with_several(data):
    folder, videos, events = data
    videos.loc[3, "subject"] = "p2"
    write(folder, videos, events)
    for held_out, tested in (("p0", ["v0"]), ("p2", ["v2", "v3"])):
        assert fold(folder, held_out) == 0
        assert json.loads((folder / f"out/{held_out}/fold.json").read_text())["test_videos"] == tested


def test_the_subject_that_would_hold_the_threshold_is_left_out(data):
    """It could not be decoded: the next one takes its part."""
    folder, *_ = data
    with h5py.File(folder / "features.h5", "r+") as file:
        file["v1"].attrs["left_out"] = "cannot be decoded"
    (folder / "features.h5.sha256").unlink()
    assert fold(folder, "p0") == 0
    _, threshold = found(folder, "p0")
    assert threshold["chosen_on"] == ["v2"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("project"))


@pytest.mark.parametrize(
    ("subjects", "videos_with_events", "experiments", "said"),
    [
        (
            4,
            ["v0", "v1"],
            "[fedn]",
            "/events.csv: without p0: no expression that names an emotion in the 2",
        ),
        (1, ["v0"], "[chance]", "leave-one-subject-out needs at least two values of `subject`, found ['p0']"),
        (4, ["v0", "v1"], "[chance]", None),
    ],
)
def test_a_fold_that_cannot_be_trained_is_named_before_anything_is_computed(
    subjects, videos_with_events, experiments, said, project
):
    folder = project / "data/rehearsal"
    videos, events = material.tables(folder, subjects=subjects)
    write(folder, videos, events[events.video_id.isin(videos_with_events)])
    (folder / "data_issues.csv").write_text("video_id,row,rule,before,after\n")
    (folder / "features").mkdir(exist_ok=True)
    (folder / "features/resnet18.h5").touch()  # planning does not read it
    chosen = ["--config", f"run={{experiments: {experiments}}}"]
    done = run(project, "results/rehearsal_table.csv", *chosen, *([] if said else ["--dry-run"]))
    output = done.stdout + done.stderr
    assert bool(done.returncode) == bool(said), output
    assert said is None or (said in output and "Traceback (most recent call" not in output), output
    assert not (project / "results").exists() or not list((project / "results").rglob("*.json"))
