"""The feature cache: what goes in comes out, damage and absence are named."""

import h5py
import numpy as np
import pytest

from fedn_pipeline.features import cache
from fedn_pipeline.files import InputError, checksum_path, sha256


def write(path, videos, weights="w", **other):
    with h5py.File(path, "w") as file:
        for number, video in enumerate(videos):
            features = np.random.default_rng(number).normal(size=(150 + number, 512)).astype(np.float16)
            attributes = {"weights_sha256": weights, "precision": "fp32", "version": "0", "frame_stride": 1, **other}
            cache.write_group(file, video, cache.Features(features, np.arange(150 + number) % 7 != 0, attributes))


@pytest.fixture
def merged(tmp_path):
    write(tmp_path / "p0.h5", ["b", "a"])
    write(tmp_path / "p1.h5", ["c"])
    cache.merge([tmp_path / "p0.h5", tmp_path / "p1.h5"], tmp_path / "net.h5")
    return tmp_path / "net.h5"


def test_round_trip_through_merge(merged):
    entry = cache.read(merged, "a")
    assert entry.features.dtype == np.float16 and entry.valid.tolist() == (np.arange(151) % 7 != 0).tolist()
    wanted = np.random.default_rng(1).normal(size=(151, 512)).astype(np.float16)
    assert np.array_equal(entry.features, wanted)
    assert cache.provenance(merged) == {
        "backbone": "net", "weights_sha256": "w", "weights_origin": "unknown", "backend": "unknown",
        "precision": "fp32", "version": "0",
    }  # fmt: skip


def test_same_content_same_bytes(tmp_path, merged):
    first = sha256(merged)
    cache.merge([tmp_path / "p1.h5", tmp_path / "p0.h5"], merged)
    assert sha256(merged) == first


def test_absent_video_and_flipped_byte_are_named(merged):
    with pytest.raises(InputError, match=r"net\.h5: no features of video z"):
        cache.read(merged, "z")
    with h5py.File(merged) as file:
        offset = file["b/features"].id.get_chunk_info(0).byte_offset
    data = bytearray(merged.read_bytes())
    data[offset + 100] ^= 1
    merged.write_bytes(data)
    with pytest.raises(InputError, match=r"net\.h5: damaged: its bytes are not those that net\.h5\.sha256"):
        cache.read(merged, "b")
    checksum_path(merged).unlink()
    with pytest.raises(InputError, match=r"net\.h5: video b: damaged"):
        cache.read(merged, "b")


def test_mixed_weights_are_refused(tmp_path):
    write(tmp_path / "p0.h5", ["a"], "one")
    write(tmp_path / "p1.h5", ["b"], "two")
    with pytest.raises(InputError, match="parts differ in weights_sha256"):
        cache.merge([tmp_path / "p0.h5", tmp_path / "p1.h5"], tmp_path / "net.h5")
    assert not (tmp_path / "net.h5").exists()


@pytest.mark.parametrize(("key", "values"), [("backend", ["openvino", "torch"]), ("precision", ["bf16", "fp32"])])
def test_mixed_backends_and_precisions_are_refused(tmp_path, key, values):
    for name, value in zip("ab", values, strict=True):
        write(tmp_path / f"{name}.h5", [name], **{key: value})
    with pytest.raises(InputError, match=rf"parts differ in {key}: \['{values[0]}', '{values[1]}'\]"):
        cache.merge([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "net.h5")


def test_video_in_two_parts_and_unreadable_files_are_refused(tmp_path):
    write(tmp_path / "p0.h5", ["a"])
    write(tmp_path / "p1.h5", ["a"])
    with pytest.raises(InputError, match=r"p1\.h5: videos that another part holds too: \['a'\]"):
        cache.merge([tmp_path / "p0.h5", tmp_path / "p1.h5"], tmp_path / "net.h5")
    with pytest.raises(InputError, match=r"none\.h5: cannot be read"):
        cache.read(tmp_path / "none.h5", "a")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(InputError, match=r"text\.h5: cannot be read"):
        cache.provenance(tmp_path / "text.h5")
