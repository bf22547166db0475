"""`fedn-pipeline forget`: nothing of a subject is left in any file, the proof sees what is left, models are listed."""

import base64
import json
import re
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from dataset.own_videos import two_subjects, write_events, write_video
from workflow.project import copied, planned, snakemake

from fedn_pipeline import cli, config, files
from fedn_pipeline.dataset import forgotten, tables
from fedn_pipeline.dataset import stage as dataset
from fedn_pipeline.dataset.demo import stage as demo
from fedn_pipeline.faces import crops
from fedn_pipeline.features import cache
from fedn_pipeline.forget import erase, traces
from fedn_pipeline.forget import stage as forget
from fedn_pipeline.training import predictions

VIDEOS = {"s1": "s1", "s1_b": "s1", "s10": "s10", "s1.b": "s2", "s3": "s3"}  # id: subject; names that hold one another
FORGOTTEN = ("s1", "s1_b")


def _features(rng, n=130):
    values = rng.standard_normal((n, 512)).astype(np.float16)
    return cache.Features(values, np.ones(n, bool), {"frame_stride": 1, "weights_origin": "x"})


def _raw(rng):
    logits, intervals = rng.random((3, 180, 5), np.float32), rng.random((3, 180, 2), np.float32)
    return predictions.RawPredictions(np.arange(3), intervals, logits, np.ones(90, bool), 30.0, 90)


def _fold(folder, held_out, test, chosen_on, rng):
    (folder / held_out).mkdir(parents=True)
    roles = {"test": {name: _raw(rng) for name in test}, "held_out": {name: _raw(rng) for name in chosen_on}}
    predictions.write(folder / held_out / "predictions.h5", roles, ["anger"])
    files.write_json(folder / held_out / "fold.json", {"held_out": held_out, "test_videos": sorted(test), "seed": 0})
    files.write_json(folder / held_out / "threshold.json", {"threshold": 0.1, "chosen_on": sorted(chosen_on)})
    found = pd.DataFrame({"video_id": test, "onset": 1, "offset": 5, "confidence": 0.5, "emotion": "anger", "kept": 1})
    tables.write_detections(folder / held_out / "detections.csv", found)
    with files.whole(folder / held_out / "checkpoint.safetensors") as partial:
        partial.write_bytes(
            b"\2\0\0\0\0\0\0\0{}" + b" s1 " + rng.bytes(5000)
        )  # a short name among weights means nothing
    (folder / held_out / "folds.log").write_text(f"without {held_out}: {' '.join(test)}\n")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A data set as the pipeline leaves it, with made-up pictures and features; the working directory is its folder."""
    monkeypatch.chdir(tmp_path)
    rng, data, results = np.random.default_rng(0), tmp_path / "data/mine", tmp_path / "results/mine"
    shutil.copytree(config.__file__.replace("fedn_pipeline/config.py", "config"), tmp_path / "config")
    (tmp_path / "config/datasets/mine.yaml").write_text("dataset: {reader: custom, root: release}\n")
    (tmp_path / "release").mkdir()
    videos = pd.DataFrame({"video_id": list(VIDEOS), "subject": list(VIDEOS.values())})
    videos = videos.assign(source=videos.video_id + ".avi", kind="video", n_frames=90, fps=30.0, width=64, height=64)
    tables.write_videos(data / "videos.csv", videos)
    events = pd.DataFrame({"video_id": list(VIDEOS), "onset": 1, "apex": 2, "offset": 5, "emotion": "anger"})
    tables.write_events(data / "events.csv", events)
    issues = pd.DataFrame({"video_id": ["s1", "", "s3"], "row": "", "rule": "r", "before": ["a", "s1_b.avi", "s10"]})
    files.write_csv(data / "data_issues.csv", issues.assign(after=""))
    settings = config.validate({})["faces"]
    for name in VIDEOS:
        (tmp_path / f"release/{name}.avi").write_bytes(rng.bytes(4000))
        pictures = rng.integers(0, 255, (8, 224, 224, 3), np.uint8)
        crops.write(data / f"crops/{name}.mp4", pictures, 30, settings)
        files.write_text(data / f"alignment/{name}.csv", "frame,success\n0,1\n")
        files.write_json(data / f"alignment/{name}.json", {"video": name})
        for kind in ("logs", "benchmarks"):
            files.write_text(results / f"{kind}/faces/{name}.log", "x")
    every = {name: _features(rng) for name in VIDEOS}
    caches = ("features/resnet18.h5", "features/resnet18/part0.h5", "flow/gap3.h5", "regions/gap1.h5")
    for path in (data / name for name in caches):
        with files.whole(path) as partial, h5py.File(partial, "w") as file:
            for name, entry in every.items():
                cache.write_group(file, name, entry)
            cache.finish(file, path)
    half = (data / "features/resnet18.h5").read_bytes()[:5000]
    (data / "features/.resnet18.partial-host-1.h5").write_bytes(half)
    _fold(results / "annotated/fedn/seed0/folds", "s1", ["s1", "s1_b"], ["s10"], rng)
    _fold(results / "annotated/fedn/seed0/folds", "s10", ["s10"], ["s1.b"], rng)
    _fold(results / "annotated/fedn/seed0/folds", "s3", ["s3"], ["s1", "s1_b"], rng)
    _fold(results / "annotated/by_age/seed0/folds", "young", ["s1", "s3"], ["s1.b"], rng)
    _fold(results / "annotated/by_video/seed0/folds", "old", ["s1_b"], ["s3"], rng)
    of_all = results / "annotated/fedn/seed0/final", results / "bundle"
    for path in (of_all[0] / "checkpoint.safetensors", of_all[1] / "detector.safetensors"):
        files.write_text(path, "\2" + "\0" * 7 + "{}")
    files.write_json(of_all[0] / "final.json", {"left_out": {"s1_b": "no face", "s3": "cut"}})
    files.write_json(of_all[1] / "bundle.json", {})
    files.write_text(results / "annotated/fedn/seed0/final/final.log", "WARNING: video s1\n")
    files.write_text(results / "annotated/fedn/seed1/final/checkpoint.safetensors", "no final.json")
    unfinished = results / "annotated/fedn/seed1/folds/s10"
    files.write_text(unfinished / "checkpoint.safetensors", "no fold.json")
    files.write_text(results / "annotated/fedn/seed0/folds/s3/resume.safetensors", "a killed training")
    files.write_text(results / "logs/features/part0.log", "videos s10 and s1.avi\n")
    files.write_text(results / "logs/features/part1.log", "videos s10, s1.b and results-s1\n")
    files.write_text(results / "summary/index.html", "<img src='data:'>")
    files.write_text(tmp_path / "results/mine_table.csv", "method,omitted_videos\nfedn,\nsplit,s1 s3\n")
    files.write_text(tmp_path / "results/mine_table.tex", "x")
    files.write_text(tmp_path / "results/mine2_table.csv", "method,omitted_videos\nsplit,s1\n")  # another data set's
    record = {"input": ["data/mine/crops/s1.mp4"], "shellcmd": "fedn-pipeline features --only s1 s10"}
    _record(tmp_path, "data/mine/features/resnet18/part0.h5", record)
    _record(tmp_path, "data/mine/crops/s1.mp4", {})
    _record(tmp_path, "data/mine/crops/s10.mp4", {})
    _record(tmp_path, "data/mine2/crops/s1.mp4", {"shellcmd": "faces s1 > results/mine2/logs/faces/s1.log"})
    (tmp_path / ".snakemake/log").mkdir()
    (tmp_path / ".snakemake/log/x.snakemake.log").write_text("output: data/mine/crops/s1.mp4\n")
    return tmp_path


def _record(folder, output, content):
    path = folder / ".snakemake/metadata" / base64.urlsafe_b64encode(output.encode()).decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def run(*arguments, dataset="mine"):
    return cli.main(["forget", "s1", "--dataset", dataset, *arguments])


def _truncate(path):
    path.write_bytes(path.read_bytes()[:5000])


def _everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in erase.files_in(folder)}


def test_nothing_is_left(project, capsys):
    before = _everything(project)
    erased = {name: (project / f"data/mine/crops/{name}.mp4").read_bytes() for name in FORGOTTEN}
    rows = {name: cache.read(project / "data/mine/features/resnet18.h5", name).features for name in VIDEOS}
    assert run() == 0
    after, printed = _everything(project), capsys.readouterr().out
    word = re.compile(r"(?<![\w-])(?:s1|s1_b)(?![\w-])(?!\.b)")  # `s1.b` is somebody else
    for name, content in after.items():
        if name.startswith(("data/mine/", "results/mine/", "results/mine_table")):
            assert not word.search(name), name
            assert not any(erased[video][i : i + 40] in content for video in FORGOTTEN for i in (4000, 9000)), name
            assert not any(rows[video][row].tobytes() in content for video in FORGOTTEN for row in (0, 70, 129)), name
            text = name.endswith((".csv", ".json", ".log", ".txt", ".sha256"))
            assert not (text and word.search(content.decode())), name
    left = sum(
        len(content) for name, content in after.items() if not name.startswith(("config", "release", "results/mine2"))
    )
    n_files, n_bytes, n_names, n_pieces = map(int, re.search(
        r"(\d+) files with (\d+) bytes scanned for (\d+) names and (\d+) pieces", printed).groups())  # fmt: skip
    assert n_bytes == left and n_names == 4 and n_pieces > 60 and n_files > 40
    assert "nothing is left" in printed

    # whatever is somebody else's is as it was
    for name in ("s10", "s1.b", "s3"):
        assert (cache.read(project / "data/mine/features/resnet18.h5", name).features == rows[name]).all()
        assert after[f"data/mine/crops/{name}.mp4"] == before[f"data/mine/crops/{name}.mp4"]
    for name in before:
        if name.startswith(("release/", "results/mine2", "config/")) or name.endswith("logs/features/part1.log"):
            assert after[name] == before[name]
    assert {name for name in after if "metadata" in name} == {
        name for name in before if "metadata" in name and ("mine2" in _described(name) or "s10" in _described(name))
    }
    videos = tables.read_videos(files.checked(project / "data/mine/videos.csv"))
    assert videos.video_id.tolist() == ["s10", "s1.b", "s3"]
    assert tables.read_events(project / "data/mine/events.csv", videos).video_id.tolist() == ["s10", "s1.b", "s3"]
    for path in erase.files_in(project / "data/mine") + erase.files_in(project / "results/mine"):
        assert path.suffix == ".sha256" or not files.checksum_path(path).is_file() or files.damage(path) is None


def _described(name):
    return base64.urlsafe_b64decode(name.rpartition("/")[2]).decode()


def test_folds_keep_what_is_others(project):
    folds = project / "results/mine/annotated"
    assert run() == 0
    assert not (folds / "fedn/seed0/folds/s1").exists() and not (folds / "by_video/seed0/folds/old").exists()
    assert not (folds / "fedn/seed1/folds/s10").exists() and not list(folds.rglob("resume.safetensors"))
    assert not (folds / "fedn/seed1/final").exists() and not (folds / "fedn/seed0/final/final.log").exists()
    assert files.read_json(folds / "fedn/seed0/final/final.json")["left_out"] == {"s3": "cut"}
    young = folds / "by_age/seed0/folds/young"
    roles, _ = predictions.read(young / "predictions.h5")
    assert {role: set(videos) for role, videos in roles.items()} == {"test": {"s3"}, "held_out": {"s1.b"}}
    assert files.read_json(young / "fold.json")["test_videos"] == ["s3"]
    assert pd.read_csv(young / "detections.csv").video_id.tolist() == ["s3"]
    chosen = files.read_json(folds / "fedn/seed0/folds/s3/threshold.json")
    assert chosen["chosen_on"] == [] and chosen["threshold"] == 0.1


def test_models_are_listed_with_what_the_subject_was_in_them(project, capsys):
    assert run("--dry-run") == 0
    dry = capsys.readouterr().out
    before = _everything(project)
    assert before == _everything(project)
    assert run() == 0
    printed = capsys.readouterr().out
    for text in (dry, printed):
        assert "fedn/seed0/folds/s10/checkpoint.safetensors: trained on the subject" in text
        assert "fedn/seed0/folds/s3/checkpoint.safetensors: its threshold was chosen on the subject" in text
        assert "fedn/seed0/final/checkpoint.safetensors: trained on the subject, as on all" in text
        assert "bundle/detector.safetensors: trained on the subject, as on all" in text
        assert "seed0/folds " in text and "seed0/final " in text and re.search(r"rm -r .*results/mine/bundle", text)
        assert "folds/s1/checkpoint" not in text and "young/checkpoint" not in text  # they left it out
        assert "snakemake --cores all results/mine_table.csv results/mine/bundle/bundle.json" in text
    assert "data/mine/forgotten.txt keeps them out" in printed
    assert "release/s1.avi" in printed and "release/s1_b.avi" in printed  # the user's own, named and not touched
    assert (project / "release/s1.avi").is_file()


def test_the_proof_finds_what_is_left(project, capsys):
    """Copies under other names and at odd positions, names in files that are not rewritten: each fails the command."""
    data, results = project / "data/mine", project / "results/mine"
    with h5py.File(data / "features/resnet18.h5") as file:
        rows = file["s1_b/features"][:].tobytes()
    video = (data / "crops/s1.mp4").read_bytes()
    (data / "notes.bin").write_bytes(b"\0" * 1237 + video)
    (results / "core.bin").write_bytes(b"\1\0" * 333 + rows + b"\0")
    (results / "weights.safetensors").write_bytes((13).to_bytes(8, "little") + b'{"for": "s1"}')
    deleted = results / "deleted.h5"
    with h5py.File(deleted, "w") as file:
        cache.write_group(file, "s1", cache.read(data / "features/resnet18.h5", "s1"))
        file["kept"] = np.arange(5.0)
    with h5py.File(deleted, "a") as file:
        del file["s1"]  # HDF5 keeps its bytes
    assert run() == 2
    error = capsys.readouterr().err
    assert "results/mine/weights.safetensors: names it" in error
    for name in ("data/mine/notes.bin", "results/mine/core.bin", "results/mine/deleted.h5"):
        assert f"{name}: holds a piece" in error
    assert "LEFT:" in error and error.count("results/mine/") >= 3


@pytest.mark.parametrize("offset", [0, 1, 7, 255, 511])
def test_a_piece_is_found_at_any_position(tmp_path, offset):
    rng = np.random.default_rng(offset)
    (tmp_path / "video").write_bytes(rng.bytes(40_000))
    found = traces.Traces(("s1",))
    found.add_video(tmp_path / "video")
    assert len(found.pieces) == traces.PIECES
    content, index = (tmp_path / "video").read_bytes(), found.index()
    middle = content.index(found.pieces[5])
    (tmp_path / "copy").write_bytes(rng.bytes(offset) + content[middle : middle + traces.SEEN] + rng.bytes(3000))
    assert found.in_bytes(tmp_path / "copy", index)
    (tmp_path / "none").write_bytes(rng.bytes(1 << 20) + b"\0" * 5000)
    assert not found.in_bytes(tmp_path / "none", index)
    (tmp_path / "black").write_bytes(b"\0" * 40_000)
    blank = traces.Traces(("s1",))
    blank.add_video(tmp_path / "black")
    assert blank.pieces == [] and not blank.in_bytes(tmp_path / "none", blank.index())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("crops/s1.mp4", True), ("x s1, y", True), ('["s1"]', True), ("s10", False), ("s1.b.csv", False),
        ("as1", False), ("s1-x", False), ("s1_b", True), ("without_s1", False), ("folds/7/fold.json", True),
        ("1,7,3", False),
        ("features 006_1: 100%", True), ("--only 006_1 007_2", True), ("006_10", False),
        ("--held-out 7 --seed 0", True), ('"7"', True), ("logs/faces/7.log", True), ("7 of 9 frames", False),
    ],
)  # fmt: skip
def test_whole_words(text, named):
    """A name counts as a whole word, one that is part of another's name does not; a bare number is no name."""
    found = traces.Traces(("s1", "s1_b", "7", "006_1"), ("s10", "s1.b"))
    assert found.in_words(text) == named and found.in_text(text.encode()) == named


def test_reading_the_release_again_leaves_it_out(project, tmp_path):
    """The subject stays forgotten when its data set is made again, and the file that says so does not name it."""
    settings = config.validate({"demo": {"subjects_per_photograph": 2, "seconds": 8}})["demo"]
    folder = tmp_path / "data/demo_x"
    demo.write(folder, "tables", settings)
    first = tables.read_videos(folder / "videos.csv")
    for _ in range(2):
        forgotten.add(folder, "s02")
    lines = (folder / forgotten.NAME).read_text().splitlines()
    assert len(lines) == 1 and "s02" not in lines[0]
    demo.write(folder, "tables", settings)
    again = tables.read_videos(folder / "videos.csv")
    assert sorted(again.subject) == sorted(set(first.subject) - {"s02"})
    assert "s02" not in (folder / "events.csv").read_text()
    with pytest.raises(files.InputError, match="no part `s02`"):
        demo.write(folder, "s02", settings)


def test_a_release_that_is_read_again_leaves_it_out(tmp_path):
    """Rows, events, and repairs that name the subject; what is printed counts it and does not name it."""
    root, out, settings = two_subjects(tmp_path / "videos"), tmp_path / "out", config.validate({})["dataset"]
    write_video(root / "an na" / "x.mp4")
    write_video(root / "carl/y.mp4")
    write_events(root, ["smile,1,5,anger", "talk,1,5,anger"])
    everybody = ["an_na", "anna", "ben", "carl"]
    dataset.run("custom", root, out, settings)
    assert sorted(tables.read_videos(out / "videos.csv").subject) == everybody
    assert "an na" in (out / "data_issues.csv").read_text()
    for subject in ("anna", "an_na"):
        forgotten.add(out, subject)
    text = dataset.run("custom", root, out, settings)
    assert "were forgotten" in text and text.count("): 2") == 1 and "anna" not in text
    videos = tables.read_videos(out / "videos.csv")
    assert videos.subject.tolist() == ["ben", "carl"]
    assert tables.read_events(out / "events.csv", videos).video_id.tolist() == ["talk"]
    assert not traces.Traces(("anna", "an_na", "smile")).in_words((out / "data_issues.csv").read_text())
    for subject in ("ben", "carl"):
        forgotten.add(out, subject)
    with pytest.raises(files.InputError, match="every subject of this data set was forgotten"):
        dataset.run("custom", root, out, settings)


@pytest.mark.parametrize("step", ["of_data", "of_snakemake", "of_tables"])
def test_killed_in_between_it_can_be_run_again(project, monkeypatch, capsys, step):
    with monkeypatch.context() as patch:
        patch.setattr(erase.Eraser, step, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run()
    assert run() == 0
    assert "nothing is left" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda project: files.write_text(project / ".snakemake/locks/0.input.lock", "x"), "is running"),
        (lambda project: _truncate(project / "data/mine/flow/gap3.h5"), "gap3.h5: damaged, so it cannot be looked"),
        (lambda project: run(), "no subject `s1`: nothing was erased. There are: s10 s2 s3"),
        (lambda project: shutil.rmtree(project / "data"), "videos.csv: no such file"),
        (lambda project: _rename_emotion(project, "s1"), "s1 is also an emotion, a type or a group here"),
    ],
)  # fmt: skip
def test_what_it_refuses(project, capsys, change, message):
    change(project)
    before = _everything(project)
    assert run() == 2
    assert message in capsys.readouterr().err
    assert _everything(project) == before


def _rename_emotion(project, name):
    path = project / "data/mine/events.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False).assign(emotion=name)
    files.write_csv(path, table)


def test_a_video_left_out_goes_from_the_records_of_others(project, capsys):
    path = project / "results/mine/annotated/fedn/seed0/folds/s3/fold.json"
    files.write_json(path, {**files.read_json(path), "left_out": {"s1_b": "cannot be read", "s3": "cannot be read"}})
    assert run() == 0, capsys.readouterr().err
    assert list(files.read_json(path)["left_out"]) == ["s3"]


def test_a_damaged_list_of_the_forgotten_is_told(tmp_path):
    forgotten.add(tmp_path, "s1")
    path = tmp_path / forgotten.NAME
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    videos = pd.DataFrame({"video_id": ["s1", "s2"], "subject": ["s1", "s2"]})
    with pytest.raises(files.InputError, match=r"forgotten\.txt: damaged.* forget each erased subject again"):
        forgotten.without(tmp_path, videos)


def test_videos_that_the_table_lists_no_more(project, capsys):
    """The release was cleaned and read again first: the videos are named; others' are refused."""
    videos = tables.read_videos(project / "data/mine/videos.csv")
    tables.write_videos(project / "data/mine/videos.csv", videos[videos.subject != "s1"])
    (project / "data/mine/events.csv").unlink()
    assert run("--video", "s1", "s3") == 2
    assert "belong to s3, not to s1" in capsys.readouterr().err
    assert run("--video", "s1", "s1_b") == 0
    assert not list((project / "data/mine/crops").glob("s1_b*"))


def test_after_a_real_run(tmp_path, full, monkeypatch, record_property):
    """--full: the smallest demo as Snakemake leaves it; afterwards nothing makes the subject's crops again."""
    if not full:
        pytest.skip("needs --full: several minutes")
    project = copied(tmp_path / "project")
    chosen = ["--config", "run={experiments: [fedn, chance, classic]}"]
    snakemake(project, "results/demo_smallest_table.csv", "results/demo_smallest/summary/index.html", *chosen)
    monkeypatch.chdir(project)
    text = forget.run("s01", "demo_smallest", "data", "results", "data/demo_smallest")
    record_property("forget on the smallest demo", text.splitlines()[-1])
    assert "nothing is left" in text
    assert planned(project, "results/demo_smallest_table.csv", *chosen) == {
        "folds",
        "reference",
        "detections",
        "results",
    }
    snakemake(project, "results/demo_smallest_table.csv", *chosen)
    assert not (project / "data/demo_smallest/crops/s01.mp4").exists()
    assert "s01" not in (project / "data/demo_smallest/videos.csv").read_text()
