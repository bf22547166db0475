"""One flipped bit in any file that the pipeline keeps is told when the file is read, with the command to rebuild it."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from fedn_pipeline import cli, config, cost, files, tensor_file
from fedn_pipeline.cascades import str_windows
from fedn_pipeline.dataset import tables
from fedn_pipeline.faces import alignment, crops, summary, video
from fedn_pipeline.features import backbone, cache, flow
from fedn_pipeline.files import InputError
from fedn_pipeline.report import methods, provenance, results, running_costs
from fedn_pipeline.training import predictions

POSITIONS, STEPS = 200, 40
RNG = np.random.default_rng(0)
VIDEOS = pd.DataFrame({
    "video_id": ["a"], "subject": ["p"], "source": ["a.mp4"], "kind": "video", "n_frames": STEPS, "fps": 30.0,
    "width": 64, "height": 48,
})  # fmt: skip
EVENTS = pd.DataFrame({"video_id": ["a"], "onset": [3], "offset": [9], "emotion": ["joy"]})
DETECTIONS = EVENTS.assign(confidence=0.75, kept=1)
FOLD = "seed0/folds/p"


def _alignment(path):
    table = alignment.table(
        RNG.normal(size=(STEPS, 68, 2)), np.ones((STEPS, 4)), np.full(STEPS, "tracked"), np.zeros(STEPS)
    )
    alignment.write(path, table)


def _crops(path):
    pictures = RNG.integers(0, 255, (STEPS, 224, 224, 3), dtype=np.uint8) // 32
    crops.write(path, pictures, 30.0, config.validate({})["faces"])


def _cache(path, write=cache.write_group, shape=(512,)):
    attributes = {"frame_stride": 1, "weights_sha256": "w", "source_sha256": "s", "gap": 3}
    features = RNG.normal(size=(STEPS, *shape)).astype(np.float16)
    with files.whole(path) as partial, h5py.File(partial, "w") as file:
        write(file, "a", cache.Features(features, np.ones(STEPS, dtype=bool), attributes))


def _predictions(path):
    spans, logits = RNG.normal(size=(3, 180, 2)), RNG.normal(size=(3, 180, 4))
    valid = np.ones(STEPS, dtype=bool)
    raw = predictions.RawPredictions(np.arange(3), spans.astype("f4"), logits.astype("f4"), valid, 30.0, STEPS)
    predictions.write(path, {"test": {"a": raw}}, ["joy", "anger", "fear", "disgust"])


def _weights(path):
    tensor_file.save(path, {"x": torch.randn(200)}, {"origin": "demo stills"})


def _checkpoint(path):
    tensor_file.save(path, {"x": torch.randn(200)}, {"settings": {}})


def _fold(path):
    """A fold's small files; `path` is one of them."""
    record = {"held_out": "p", "seed": 0, "test_videos": ["a"], "plain_split": False, "training": ""}
    files.write_json(path.parent / "fold.json", record)
    files.write_json(path.parent / "threshold.json", {"threshold": 0.5, "protocol": "held_out"})
    tables.write_detections(path.parent / "detections.csv", DETECTIONS)


def _demo_video(path):
    data = _crops(path.with_name("c.mp4")) or path.with_name("c.mp4").read_bytes()
    with files.whole(path) as partial:
        partial.write_bytes(data)


# kind: (file, how it is written, how the pipeline reads it)
KINDS = {
    "a demo video": ("raw/a.mp4", _demo_video, video.probe),
    "crops": ("crops/a.mp4", _crops, lambda path: list(crops.read(path))),
    "crops, by seeking": ("crops/a.mp4", _crops, lambda path: crops.read_frames(path, [7])),
    "alignment": ("alignment/a.csv", _alignment, alignment.read),
    "summary of a video": (
        "alignment/a.json",
        lambda path: summary.write(path, {"n_frames": STEPS}),
        lambda path: summary.left_out(path.parent.parent, "a"),
    ),
    "features": ("features/net.h5", _cache, lambda path: cache.read(path, "a")),
    "features, provenance": ("features/net.h5", _cache, cache.provenance),
    "features, merge": ("part.h5", _cache, lambda path: cache.merge([path], path.with_name("whole.h5"))),
    "flow": (
        "flow/gap3.h5",
        lambda path: _cache(path, flow.write_group, (3, 8, 8)),
        lambda path: str_windows.load(path, ["a"]),
    ),
    "weights": ("backbones/net.safetensors", _weights, backbone.read),
    "checkpoint": (
        f"x/{FOLD}/checkpoint.safetensors",
        _checkpoint,
        lambda path: provenance.recorded_settings(path.parents[3], [0]),
    ),
    "predictions": (f"{FOLD}/predictions.h5", _predictions, predictions.read),
    "videos.csv": ("videos.csv", lambda path: tables.write_videos(path, VIDEOS), tables.read_videos),
    "events.csv": (
        "events.csv", lambda path: tables.write_events(path, EVENTS), lambda path: tables.read_events(path, VIDEOS)
    ),
    "detections.csv": (f"{FOLD}/detections.csv", _fold, lambda path: results.read_run(path.parents[2], VIDEOS)),
    "threshold.json": (f"{FOLD}/threshold.json", _fold, lambda path: results.read_run(path.parents[2], VIDEOS)),
    "fold.json": (f"{FOLD}/fold.json", _fold, lambda path: results.read_run(path.parents[2], VIDEOS)),
    "cost.json": (
        f"x/{FOLD}/cost.json",
        lambda path: cost.measured(path, lambda _: None, VIDEOS, inputs=[path.parents[4] / "flow/gap3.h5"]),
        lambda path: running_costs.of_method(config.validate({}), path.parents[3], VIDEOS, None),
    ),
    "training_log.csv": (
        f"{FOLD}/training_log.csv",
        lambda path: files.write_csv(path, pd.DataFrame({"step": range(9), "loss": np.linspace(1, 0, 9)})),
        lambda path: methods.training_logs(path.parents[3], [0]),
    ),
}  # fmt: skip


def flipped(path):
    """Yield once for each of POSITIONS random bits, while that one bit of the file is flipped."""
    whole = path.read_bytes()
    for position, bit in zip(RNG.integers(len(whole), size=POSITIONS), RNG.integers(8, size=POSITIONS), strict=True):
        changed = bytearray(whole)
        changed[position] ^= 1 << bit
        path.write_bytes(changed)
        files._sha256.cache_clear()  # the clock of the file system may be too coarse for 200 versions of a file
        yield int(position)
    path.write_bytes(whole)
    files._sha256.cache_clear()


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_bit_is_told_with_the_file_and_the_command(tmp_path, kind, record_property):
    name, write, read = KINDS[kind]
    path = tmp_path / name
    write(path)
    read(path)  # whole, it can be read
    detected = 0
    for position in flipped(path):
        with pytest.raises(InputError) as told:
            read(path)
        text = str(told.value)
        assert f"{path}: damaged" in text and f"snakemake --cores all --force {path}" in text, position
        detected += 1
    read(path)
    assert detected == POSITIONS
    record_property(f"flipped bits, {kind}", f"{POSITIONS} flipped, {detected} detected")


def test_a_flipped_bit_of_the_checksum_itself_is_told(tmp_path):
    files.write_text(tmp_path / "a.txt", "words")
    for position in flipped(files.checksum_path(tmp_path / "a.txt")):
        digest, *name = files.checksum_path(tmp_path / "a.txt").read_bytes().split() or [b""]
        same = digest == files.sha256(tmp_path / "a.txt").encode() and name in ([b"a.txt"], [b"*a.txt"])
        assert same or files.damage(tmp_path / "a.txt"), position  # a flipped space may still part the two words


def test_why_a_checksum_of_the_whole_file(tmp_path, record_property):
    """HDF5's own checksums cover the data, not names, shapes and attributes."""
    path = tmp_path / "net.h5"
    _cache(path)
    files.checksum_path(path).unlink()
    before, missed = cache.read(path, "a"), 0
    for _ in flipped(path):
        try:
            after = cache.read(path, "a")
        except InputError:
            continue
        assert np.array_equal(before.features, after.features) and np.array_equal(before.valid, after.valid)
        missed += 1
    assert missed > 0
    record_property("flipped bits, features without the checksum beside them", f"{POSITIONS} flipped, {missed} missed")


def test_verify_names_every_damaged_file_and_one_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("data/x/a.csv", "data/x/b.csv", "results/c.csv"):
        files.write_text(tmp_path / name, "words")
    (tmp_path / "data/x/.d.partial-host-1.h5").write_text("half")
    assert cli.main(["verify"]) == 0
    told = capsys.readouterr().out
    assert "3 files with a checksum" in told and "data/x/.d.partial-host-1.h5: left by a killed job" in told
    (tmp_path / "data/x/b.csv").write_text("swords")
    (tmp_path / "results/c.csv").unlink()
    assert cli.main(["verify"]) == 2
    told = capsys.readouterr().err
    assert "2 damaged" in told and "data/x/b.csv: damaged" in told and "results/c.csv: is gone" in told
    assert "snakemake --cores all --force data/x/b.csv results/c.csv" in told
    (tmp_path / "empty").mkdir()
    assert cli.main(["verify", "empty"]) == 2 and "nothing to compare" in capsys.readouterr().err
    assert cli.main(["verify", "data/x/a", "nowhere"]) == 2 and "no such folder" in capsys.readouterr().err
