"""Caches of flow and of regions as features of frames: values, averages, which steps show a face, provenance."""

import h5py
import numpy as np
import pytest

from fedn_pipeline import cli
from fedn_pipeline.features import cache, motion
from fedn_pipeline.files import InputError

GAP, STEPS = 3, 20
ATTRIBUTES = {
    "frame_stride": 1, "gap": GAP, "source_sha256": "crops", "weights_sha256": "none", "weights_origin": "made up",
    "input_size": 112, "backend": "opencv", "precision": "fp32", "version": "0",
}  # fmt: skip


def write(path, shape, starts, **attributes):
    """A cache of two videos with random motion of `shape`; `starts [STEPS]`: where one starts. Its values by video."""
    found = {}
    with h5py.File(path, "w") as file:
        for number, video in enumerate(("w", "v")):
            values = np.random.default_rng(number).normal(size=(STEPS, *shape)).astype(np.float16)
            values[~starts] = 0
            cache.write_group(file, video, cache.Features(values, starts, {**ATTRIBUTES, **attributes}))
            found[video] = values
    return found


def test_regions_are_flattened_and_keep_their_provenance(tmp_path):
    source, starts = tmp_path / "gap3.h5", np.arange(STEPS) < STEPS - GAP
    wanted = write(source, (12, 2), starts, left_out="cut short")
    assert cli.main(["features", "--motion", str(source), "--out", str(tmp_path / "regions_gap3.h5")]) == 0
    for video, values in wanted.items():
        entry = cache.read(tmp_path / "regions_gap3.h5", video)
        assert entry.features.dtype == np.float16 and entry.features.tolist() == values.reshape(STEPS, 24).tolist()
        assert entry.attributes == {**ATTRIBUTES, "left_out": "cut short"}
    whole = cache.provenance(tmp_path / "regions_gap3.h5")
    assert whole["backbone"] == "regions_gap3" and whole["weights_origin"] == "made up"


@pytest.mark.parametrize("gap", [GAP, STEPS + 5])
def test_a_step_is_valid_where_a_flow_starts_or_ends(tmp_path, gap):
    starts = np.zeros(STEPS, dtype=bool)
    starts[[0, 1, 8, 16]] = gap < STEPS
    write(tmp_path / "gap.h5", (12, 2), starts, gap=gap)
    motion.run(tmp_path / "gap.h5", tmp_path / "out.h5", {"feature_size": 4})
    valid = cache.read(tmp_path / "out.h5", "v").valid
    assert np.flatnonzero(valid).tolist() == ([0, 1, 3, 4, 8, 11, 16, 19] if gap < STEPS else [])


def test_pictures_are_averaged_channel_by_channel(tmp_path):
    source = tmp_path / "gap3.h5"
    pictures = write(source, (3, 12, 12), np.ones(STEPS, dtype=bool))["v"].astype(np.float64)
    motion.run(source, tmp_path / "flow_gap3.h5", {"feature_size": 4})
    entry = cache.read(tmp_path / "flow_gap3.h5", "v")
    means = pictures.reshape(STEPS, 3, 4, 3, 4, 3).mean(axis=(3, 5))
    assert entry.features.reshape(STEPS, 3, 4, 4) == pytest.approx(means, abs=1e-3)
    assert entry.attributes == {**ATTRIBUTES, "weights_origin": "made up, averaged to 4 px"}


def test_cells_that_cut_pixels_take_their_share():
    """42 px into 12 cells of 3.5: the fourth pixel belongs half to the first cell, half to the second."""
    picture = np.zeros((1, 1, 42, 42), dtype=np.float16)
    picture[0, 0, :, 3] = 7
    cells = motion.averaged(picture, 12)[0, 0]
    assert cells[:, :2] == pytest.approx(1.0) and not cells[:, 2:].any()
    noise = np.random.default_rng(0).normal(size=(2, 3, 42, 42)).astype(np.float32)
    assert motion.averaged(noise, 12).mean(axis=(2, 3)) == pytest.approx(noise.mean(axis=(2, 3)), abs=1e-6)


def test_features_of_a_backbone_are_no_motion(tmp_path):
    write(tmp_path / "net.h5", (512,), np.ones(STEPS, dtype=bool), gap=0)
    with pytest.raises(InputError, match=r"net\.h5: no cache of motion"):
        motion.run(tmp_path / "net.h5", tmp_path / "out.h5", {"feature_size": 4})
    assert not (tmp_path / "out.h5").exists()
