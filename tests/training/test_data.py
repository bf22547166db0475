"""A fold's features: one tensor in half precision, each video read once, nothing lost on the way."""

import tracemalloc

import h5py
import numpy as np
import pytest
import torch

from fedn_pipeline.features import cache
from fedn_pipeline.files import InputError, checksum_path
from fedn_pipeline.training import data

LENGTHS = {"a": 300, "b": 170, "c": 64, "d": 201, "e": 250, "f": 130, "g": 299, "h": 1}
ROLES = {"train": ("c", "a", "h", "g"), "held_out": ("d", "e"), "test": ("b", "f")}
CPU = torch.device("cpu")


@pytest.fixture
def features(tmp_path):
    """A merged cache of clips every 2 frames, some of them without a face."""
    attributes = {"frame_stride": 2, "source_sha256": "", "weights_sha256": "", "precision": "fp32", "version": "0"}
    random = np.random.default_rng(0)
    with h5py.File(tmp_path / "part.h5", "w") as file:
        for video, length in LENGTHS.items():
            rows = random.normal(size=(length, 512)).astype(np.float16)
            cache.write_group(file, video, cache.Features(rows, random.random(length) < 0.9, attributes))
    cache.merge([tmp_path / "part.h5"], tmp_path / "clips.h5")
    return tmp_path / "clips.h5"


def test_roles_are_parts_of_one_tensor_and_hold_the_cache_exactly(features):
    loaded = data.load(features, ROLES, CPU)
    whole = loaded["train"].features.untyped_storage()
    assert whole.nbytes() == sum(LENGTHS.values()) * 512 * 2  # float16, once
    for role, ids in ROLES.items():
        videos, entries = loaded[role], [cache.read(features, video) for video in ids]
        assert videos.features.untyped_storage().data_ptr() == whole.data_ptr()
        assert videos.features.numpy().tobytes() == np.concatenate([entry.features for entry in entries]).tobytes()
        assert videos.ids == ids and videos.row_stride == 2
        assert videos.n_steps.tolist() == [2 * LENGTHS[video] for video in ids]
        for video, entry in zip(ids, entries, strict=True):
            assert (videos.valid[video] == np.repeat(entry.valid, 2)).all()


def test_some_of_the_videos_in_another_order(features):
    train = data.load(features, ROLES, CPU)["train"]
    part = train.of(["g", "c"])
    assert part.ids == ("g", "c") and part.n_steps.tolist() == [2 * 299, 2 * 64] and part.row_stride == 2
    rows = [cache.read(features, video).features for video in part.ids]
    assert part.features.numpy().tobytes() == np.concatenate(rows).tobytes() and set(part.valid) == {"g", "c"}
    assert train.of(ROLES["train"]) is train


def test_each_video_is_read_once_and_no_second_copy_of_all_is_held(features, monkeypatch):
    read, plain = [], cache.read
    monkeypatch.setattr(cache, "read", lambda path, video: read.append(video) or plain(path, video))
    data.load(features, ROLES, CPU)  # imports and caches of h5py
    read.clear()
    tracemalloc.start()  # sees NumPy's memory, not the tensor's
    data.load(features, ROLES, CPU)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sorted(read) == sorted(LENGTHS)
    assert peak < sum(LENGTHS.values()) * 512 * 2 / 2


def test_missing_and_damaged_videos_are_named(features):
    with pytest.raises(InputError, match=r"clips\.h5: no features of video z"):
        data.load(features, {"train": ("a", "z")}, CPU)
    with h5py.File(features, "r+") as file:
        del file["b/features"]
    checksum_path(features).unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"clips\.h5: video b: damaged"):
        data.load(features, ROLES, CPU)
    features.write_bytes(b"no HDF5")
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        data.load(features, ROLES, CPU)


def test_moments_are_of_rows_with_a_face_alone(features):
    """Mean and deviation of each value over all videos of a role; one that never changes is not divided."""
    videos = data.load(features, ROLES, CPU)["train"]
    videos.features[:, 7] = 0.3
    entries = [cache.read(features, video) for video in ROLES["train"]]
    rows = np.concatenate([entry.features[entry.valid] for entry in entries]).astype(np.float64)
    rows[:, 7] = np.float16(0.3)
    mean, deviation = videos.moments()
    assert mean.dtype == deviation.dtype == torch.float32
    assert mean.numpy() == pytest.approx(rows.mean(axis=0), abs=1e-6)
    wanted = rows.std(axis=0)
    wanted[7] = 1
    assert deviation.numpy() == pytest.approx(wanted, rel=1e-6)


def test_moments_without_any_face_change_nothing(features):
    videos = data.load(features, ROLES, CPU)["train"]
    videos.valid = {video: shown & False for video, shown in videos.valid.items()}
    mean, deviation = videos.moments()
    assert not mean.any() and (deviation == 1).all()
