"""Features of real videos and of one without a face, on the 30 fps axis; reading ahead of the network."""

import threading

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.models import resnet18

from fedn_pipeline import config, tensor_file
from fedn_pipeline.faces import alignment, crops
from fedn_pipeline.features import backbone, cache, extract
from fedn_pipeline.files import InputError, sha256

SETTINGS = config.validate({"backbone": {"input_size": 64, "backend": "torch", "precision": "fp32"}})


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A ResNet18 with random weights: the path is tested, not what it has learnt."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    tensor_file.save(path, resnet18(num_classes=5).eval().state_dict(), {"origin": "demo stills"})
    return path


def table(video, n_frames, fps):
    return pd.DataFrame([{"video_id": video, "n_frames": n_frames, "fps": fps}])


def test_real_videos(real_faces, weights, tmp_path):
    folder, _ = real_faces
    videos = pd.concat([table("default", 288, 15.0), table("head_motion", 842, 30.0)])
    extract.run(videos, folder, weights, tmp_path / "f.h5", SETTINGS["backbone"])
    default, head = (cache.read(tmp_path / "f.h5", name) for name in ("default", "head_motion"))
    assert default.features.shape == (576, 512) and head.features.shape == (842, 512)  # 15 fps: two steps a frame
    assert default.valid.all() and head.valid.all()
    source = np.arange(576) // 2
    same = (default.features[1:] == default.features[:-1]).all(axis=1)
    assert (same == (np.diff(source) == 0)).all()
    assert default.attributes["weights_sha256"] == sha256(weights)
    assert default.attributes["source_sha256"] == sha256(folder / f"crops/default{crops.CROPS_SUFFIX}")
    chosen = {key: default.attributes[key] for key in ("backend", "precision", "input_size")}
    assert chosen == {"backend": "torch", "precision": "fp32", "input_size": 64}


def stage_files(folder, status):
    """Alignment and grey crops of a video `v` whose frames have this status."""
    missing = np.array(status) == "missing"
    similarities, points = np.tile([1.0, 0, 0, 0], (len(status), 1)), np.zeros((len(status), 68, 2))
    similarities[missing], points[missing] = np.nan, np.nan
    found = alignment.table(points, similarities, np.array(status, dtype=object), np.zeros(len(status), dtype=bool))
    alignment.write(folder / "alignment/v.csv", found)
    images = (np.full((224, 224, 3), 0 if gone else 10 * number % 256, np.uint8) for number, gone in enumerate(missing))
    crops.write(folder / f"crops/v{crops.CROPS_SUFFIX}", images, 30.0, SETTINGS["faces"])


@pytest.mark.parametrize("status", [["tracked"] * 4 + ["missing"] * 3 + ["bridged"], ["missing"] * 5])
def test_frames_without_a_face_are_zero_and_invalid(status, weights, tmp_path):
    stage_files(tmp_path, status)
    extract.run(table("v", len(status), 30.0), tmp_path, weights, tmp_path / "f.h5", SETTINGS["backbone"])
    entry = cache.read(tmp_path / "f.h5", "v")
    missing = np.array(status) == "missing"
    assert (entry.valid == ~missing).all()
    assert (entry.features[missing] == 0).all() and (entry.features[~missing] != 0).any(axis=1).all()


def test_normalisation_follows_the_settings_and_is_recorded(weights, tmp_path):
    stage_files(tmp_path, ["tracked"] * 3)
    other = SETTINGS["backbone"] | {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    for name, settings in (("imagenet", SETTINGS["backbone"]), ("half", other)):
        extract.run(table("v", 3, 30.0), tmp_path, weights, tmp_path / f"{name}.h5", settings)
    imagenet, half = (cache.read(tmp_path / f"{name}.h5", "v") for name in ("imagenet", "half"))
    assert not np.allclose(imagenet.features, half.features)
    assert half.attributes["mean"].tolist() == [0.5, 0.5, 0.5]
    assert imagenet.attributes["std"].tolist() == [0.229, 0.224, 0.225]
    assert imagenet.attributes["weights_origin"] == "demo stills"
    cache.merge([tmp_path / "half.h5"], tmp_path / "net.h5")
    assert cache.provenance(tmp_path / "net.h5")["weights_origin"] == "demo stills"


def test_more_frames_than_announced_are_refused(weights, tmp_path):
    stage_files(tmp_path, ["tracked"] * 6)
    with pytest.raises(InputError, match=r"v\.csv: 6 rows, videos\.csv says 5 frames"):
        extract.run(table("v", 5, 30.0), tmp_path, weights, tmp_path / "f.h5", SETTINGS["backbone"])
    assert not (tmp_path / "f.h5").exists()


def test_tail_of_a_video_cut_short_has_no_face(weights, tmp_path, capsys):
    stage_files(tmp_path, ["tracked"] * 4)
    extract.run(table("v", 6, 30.0), tmp_path, weights, tmp_path / "f.h5", SETTINGS["backbone"])
    entry = cache.read(tmp_path / "f.h5", "v")
    assert entry.valid.tolist() == [True] * 4 + [False] * 2 and (entry.features[4:] == 0).all()
    assert "v: cut short, 4 of 6 frames" in capsys.readouterr().out


def readers():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_items_come_in_order_and_at_most_so_many_ahead():
    taken, given = [], []

    def items():
        for number in range(10):
            taken.append((number, len(given)))
            yield number

    for number in extract.ahead(items(), 3):
        given.append(number)
    assert given == list(range(10))
    assert all(number <= given_before + 3 for number, given_before in taken)
    assert not readers()


def test_the_reader_reads_while_an_item_is_in_use():
    read = threading.Event()

    def items():
        yield 0
        read.set()
        yield 1

    first = next(found := extract.ahead(items(), 1))
    assert first == 0 and read.wait(timeout=60)
    assert list(found) == [1]


def test_errors_of_the_reader_are_raised_with_their_cause_after_what_came_before():
    def items():
        yield 1
        try:
            raise OSError("disk gone")
        except OSError as error:
            raise InputError("v.mp4: crop 1 cannot be decoded") from error

    found = extract.ahead(items(), 2)
    assert next(found) == 1
    with pytest.raises(InputError, match="crop 1 cannot be decoded") as caught:
        next(found)
    assert isinstance(caught.value.__cause__, OSError)
    assert not readers()


def test_the_reader_ends_when_its_user_fails():
    closed = []

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    def fail():
        for _ in extract.ahead(items(), 2):
            raise KeyError("network")

    with pytest.raises(KeyError):
        fail()
    assert closed and not readers()


def test_damaged_crops_are_named_by_the_stage(weights, tmp_path):
    stage_files(tmp_path, ["tracked"] * 80)
    path = tmp_path / f"crops/v{crops.CROPS_SUFFIX}"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"v\.mp4"):
        extract.run(table("v", 80, 30.0), tmp_path, weights, tmp_path / "f.h5", SETTINGS["backbone"])
    assert not (tmp_path / "f.h5").exists() and not readers()


def test_the_features_are_those_of_the_frames_one_after_the_other(weights, tmp_path, monkeypatch):
    """Reading ahead changes no byte: batches of a video, the last one short, through the network of `backbone`."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status = ["tracked"] * 40 + ["missing"] * 3 + ["tracked"] * 30
    stage_files(tmp_path, status)
    extract.run(table("v", 73, 30.0), tmp_path, weights, tmp_path / "f.h5", SETTINGS["backbone"])
    network, settings = backbone.load(weights), SETTINGS["backbone"]
    every = [
        cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA) for image in crops.read(tmp_path / "crops/v.mp4")
    ]
    shown = [image for image, state in zip(every, status, strict=True) if state != "missing"]
    with torch.inference_mode():
        parts = [
            network(backbone.normalise(np.stack(shown[start : start + 32]), settings["mean"], settings["std"])).numpy()
            for start in range(0, len(shown), 32)
        ]
    entry = cache.read(tmp_path / "f.h5", "v")
    assert np.array_equal(entry.features[entry.valid], np.concatenate(parts).astype(np.float16))
