"""Optical flow of planted motion on the 30 fps axis: values, strain, missing faces, provenance, repetition."""

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest

from fedn_pipeline import config
from fedn_pipeline.faces import alignment, crops
from fedn_pipeline.features import cache, flow
from fedn_pipeline.files import InputError, sha256

SETTINGS = config.validate({"flow": {"work_size": 64, "size": 16}})
SIDE, GAP = 128, 2


def table(n_frames, fps=30.0):
    return pd.DataFrame([{"video_id": "v", "n_frames": n_frames, "fps": fps}])


def stage_files(folder, n_frames, motion=(0, 0), missing=(), n_crops=None):
    """Alignment and crops of a video `v`: a texture that moves by `motion` px of the crop in each frame."""
    gone = np.isin(np.arange(n_frames), missing)
    similarities, points = np.tile([1.0, 0, 0, 0], (n_frames, 1)), np.zeros((n_frames, 68, 2))
    similarities[gone], points[gone] = np.nan, np.nan
    status = np.where(gone, "missing", "tracked").astype(object)
    alignment.write(folder / "alignment/v.csv", alignment.table(points, similarities, status, gone & False))
    noise = np.random.default_rng(0).uniform(0, 255, (2 * SIDE, 2 * SIDE)).astype(np.float32)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    frames = np.arange(n_frames if n_crops is None else n_crops)
    moves = [np.array([[1, 0, motion[0] * t - 64], [0, 1, motion[1] * t - 64]], dtype=np.float32) for t in frames]
    images = (cv2.warpAffine(texture, move, (SIDE, SIDE)).astype(np.uint8) for move in moves)
    colour = (np.repeat(image[..., None], 3, axis=-1) for image in images)
    crops.write(folder / f"crops/v{crops.CROPS_SUFFIX}", colour, 30.0, {**SETTINGS["faces"], "crop_size": SIDE})


def made(folder, n_frames, fps=30.0, gap=GAP, **settings):
    flow.run(table(n_frames, fps), folder, gap, folder / "flow.h5", {**SETTINGS["flow"], **settings})
    return cache.read(folder / "flow.h5", "v")


@pytest.mark.parametrize("method", ["dis", "farneback", "tvl1"])
def test_flow_is_the_motion_over_the_gap(method, tmp_path):
    """2 px of the crop per frame are 1 px of the work picture: 2 px over a gap of two, to the right and up."""
    stage_files(tmp_path, 5, motion=(2, -1))
    entry = made(tmp_path, 5, method=method)
    assert entry.features.shape == (5, 3, 16, 16) and entry.features.dtype == np.float16
    assert entry.valid.tolist() == [True, True, True, False, False]
    inner = entry.features[:3, :, 4:12, 4:12].astype(float)
    u, v, strain = np.median(inner, axis=(0, 2, 3))
    assert u == pytest.approx(2, abs=0.25) and v == pytest.approx(-1, abs=0.25) and 0 <= strain < 0.2
    assert not entry.features[3:].any()
    with h5py.File(tmp_path / "flow.h5") as file:
        magnitude = file["v/magnitude"]
        assert magnitude.dtype == np.float32 and magnitude.fletcher32
        assert magnitude[:3] == pytest.approx(np.sqrt(5), abs=0.3) and not magnitude[3:].any()


def test_strain_of_known_deformations():
    y, x = np.mgrid[:20, :20].astype(np.float64)
    assert flow.strain(0.1 * x, 0 * y) == pytest.approx(0.1)  # stretch
    assert flow.strain(-0.1 * y, 0.1 * x) == pytest.approx(0)  # rotation
    assert flow.strain(0.1 * y, 0.1 * x) == pytest.approx(0.2 / np.sqrt(2))  # shear: two off-diagonal 0.1
    assert flow.strain(0 * x + 3, 0 * y - 2) == pytest.approx(0)  # translation


def test_windows_without_a_face_are_zero_and_invalid(tmp_path):
    stage_files(tmp_path, 9, motion=(2, 0), missing=[4])
    entry = made(tmp_path, 9)
    assert entry.valid.tolist() == [True, True, False, True, False, True, True, False, False]
    assert (entry.features.any(axis=(1, 2, 3)) == entry.valid).all()
    assert not made(tmp_path, 9, gap=9).valid.any()


def test_axis_is_30_fps_whatever_the_source(tmp_path):
    stage_files(tmp_path, 6, motion=(2, 0))
    slow = made(tmp_path, 6, fps=15.0)
    assert len(slow.valid) == 12 and slow.valid.sum() == 10
    assert np.median(slow.features[4, 0, 4:12, 4:12]) == pytest.approx(1, abs=0.2)  # two steps are one frame
    fast = made(tmp_path, 6, fps=60.0)
    assert len(fast.valid) == 3 and np.median(fast.features[0, 0, 4:12, 4:12]) == pytest.approx(4, abs=0.4)


def test_tail_of_a_video_cut_short_is_invalid_and_disagreement_refused(tmp_path):
    stage_files(tmp_path, 5, motion=(2, 0))
    assert made(tmp_path, 7).valid.tolist() == [True, True, True, False, False, False, False]
    with pytest.raises(InputError, match=r"v\.csv: 5 rows, videos\.csv says 4 frames"):
        made(tmp_path, 4)
    stage_files(tmp_path, 5, n_crops=4)
    with pytest.raises(InputError, match=r"v\.mp4: its number of crops is not that of .*v\.csv"):
        made(tmp_path, 5)


def test_provenance_repetition_and_merge(tmp_path):
    stage_files(tmp_path, 5, motion=(2, 0))
    entry = made(tmp_path, 5)
    assert entry.attributes["gap"] == GAP
    assert entry.attributes["source_sha256"] == sha256(tmp_path / f"crops/v{crops.CROPS_SUFFIX}")
    first = sha256(tmp_path / "flow.h5")
    made(tmp_path, 5)
    assert sha256(tmp_path / "flow.h5") == first
    cache.merge([tmp_path / "flow.h5"], tmp_path / "gap2.h5")
    with h5py.File(tmp_path / "gap2.h5") as file:
        assert file["v/magnitude"].shape == (5,)
    provenance = cache.provenance(tmp_path / "gap2.h5")
    assert provenance["backbone"] == "gap2"
    assert provenance["weights_origin"] == "optical flow (dis at 64 px, gap 2, 16 px)"
    with h5py.File(tmp_path / "other.h5", "w") as file:
        other = {**entry.attributes, "weights_origin": "optical flow (dis at 64 px, gap 3, 16 px)"}
        cache.write_group(file, "w", cache.Features(entry.features, entry.valid, other))
    with pytest.raises(InputError, match=r"parts differ in weights_origin: .*gap 2.*gap 3"):
        cache.merge([tmp_path / "flow.h5", tmp_path / "other.h5"], tmp_path / "mixed.h5")
