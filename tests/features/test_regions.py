"""Flow of regions around landmarks: planted motion, the head's share taken off, missing faces, provenance."""

import cv2
import numpy as np
import pandas as pd
import pytest

from fedn_pipeline import config
from fedn_pipeline.faces import alignment, crops, geometry
from fedn_pipeline.features import cache, regions
from fedn_pipeline.files import sha256

SIDE, GAP, MOUTH = 128, 2, 8  # MOUTH: landmark 48, the left corner of the mouth
SETTINGS = config.validate({"flow": {"work_size": 128}, "faces": {"crop_size": SIDE}})
LANDMARKS = np.array(SETTINGS["regions"]["landmarks"])
PLACES = np.full((68, 2), 64.0)  # crop px; every brow, nose and mouth point of the regions has a place of its own
PLACES[LANDMARKS] = [[20, 24], [34, 20], [48, 24], [80, 24], [94, 20], [108, 24], [64, 44], [64, 62], [40, 100],
                     [64, 92], [88, 100], [64, 108]]  # fmt: skip
PLACES[[29, 30]] = [[64, 53], [64, 62]]
SIMILARITY = np.array([0.5, 0.1, 10, -20])  # picture px to crop px


def stage_files(folder, n_frames, head, mouth, missing=()):
    """A textured face `v` that moves by `head` px of the crop in each frame; its lower left quarter by `mouth` more."""
    gone = np.isin(np.arange(n_frames), missing)
    picture = geometry.transform(geometry.inverse(SIMILARITY), PLACES)
    points, similarities = np.tile(picture, (n_frames, 1, 1)), np.tile(SIMILARITY, (n_frames, 1))
    similarities[gone], points[gone] = np.nan, np.nan
    status = np.where(gone, "missing", "tracked").astype(object)
    alignment.write(folder / "alignment/v.csv", alignment.table(points, similarities, status, gone & False))
    noise = np.random.default_rng(0).uniform(0, 255, (2 * SIDE, 2 * SIDE)).astype(np.float32)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)

    def shifted(motion, t):
        move = np.array([[1, 0, motion[0] * t - 64], [0, 1, motion[1] * t - 64]], dtype=np.float32)
        return cv2.warpAffine(texture, move, (SIDE, SIDE)).astype(np.uint8)

    def images():
        for t in range(n_frames):
            image = shifted(head, t)
            image[80:, :56] = shifted(np.add(head, mouth), t)[80:, :56]
            yield np.repeat(image[..., None], 3, axis=-1)

    crops.write(folder / f"crops/v{crops.CROPS_SUFFIX}", images(), 30.0, SETTINGS["faces"])


def made(folder, n_frames):
    videos = pd.DataFrame([{"video_id": "v", "n_frames": n_frames, "fps": 30.0}])
    regions.run(videos, folder, GAP, folder / "regions.h5", SETTINGS)
    return cache.read(folder / "regions.h5", "v")


def test_a_region_moves_by_what_it_moves_beside_the_head(tmp_path):
    """The mouth's corner by 1 px of the crop per frame, 2 px over the gap; all else only with the head."""
    stage_files(tmp_path, 6, head=(1.5, -1), mouth=(0, 1))
    entry = made(tmp_path, 6)
    assert entry.features.shape == (6, 12, 2) and entry.features.dtype == np.float16
    assert entry.valid.tolist() == [True] * 4 + [False] * 2
    mean = entry.features[:4].astype(float).mean(axis=0)
    assert mean[MOUTH] == pytest.approx([0, 2], abs=0.2)
    assert np.delete(mean, MOUTH, axis=0) == pytest.approx(np.zeros((11, 2)), abs=0.2)
    assert not entry.features[4:].any()


def test_the_similarity_takes_landmarks_to_the_work_picture(tmp_path):
    stage_files(tmp_path, 3, head=(0, 0), mouth=(0, 0))
    table = alignment.read(tmp_path / "alignment/v.csv")
    at = regions.places(table, np.array([0, 2, 5]), LANDMARKS, 0.5)
    assert at.shape == (3, 12, 2)
    assert at == pytest.approx(np.tile((PLACES[LANDMARKS] + 0.5) / 2 - 0.5, (3, 1, 1)), abs=0.02)


def test_means_between_pixels_and_at_the_edge():
    x = np.tile(np.arange(20, dtype=np.float32), (20, 1))
    ramp = np.stack([x, 2 * x.T], axis=-1)  # u = x, v = 2 y: a mean over a square is the value at its middle
    assert regions.means(ramp, np.array([[7.25, 9.5], [10, 4]]), 3) == pytest.approx(np.array([[7.25, 19], [10, 8]]))
    at_the_edge = regions.means(np.ones((20, 20, 2), np.float32), np.array([[-3.0, 25.0]]), 3)
    assert at_the_edge == pytest.approx(1)


def test_without_a_face_zero_and_invalid(tmp_path):
    stage_files(tmp_path, 8, head=(1, 0), mouth=(0, 1), missing=[3])
    entry = made(tmp_path, 8)
    assert entry.valid.tolist() == [True, False, True, False, True, True, False, False]
    assert (entry.features.any(axis=(1, 2)) == entry.valid).all()
    assert made(tmp_path, 10).valid.tolist() == [*entry.valid, False, False]  # a video cut short


def test_provenance_repetition_and_merge(tmp_path):
    stage_files(tmp_path, 5, head=(1, 0), mouth=(0, 1))
    entry = made(tmp_path, 5)
    assert entry.attributes["gap"] == GAP and entry.attributes["weights_sha256"] == "none"
    assert entry.attributes["source_sha256"] == sha256(tmp_path / f"crops/v{crops.CROPS_SUFFIX}")
    first = sha256(tmp_path / "regions.h5")
    made(tmp_path, 5)
    assert sha256(tmp_path / "regions.h5") == first
    cache.merge([tmp_path / "regions.h5"], tmp_path / "gap2.h5")
    assert cache.gap(tmp_path / "gap2.h5") == GAP
    origin = cache.provenance(tmp_path / "gap2.h5")["weights_origin"]
    assert origin.startswith("flow of 12 regions (dis at 128 px, gap 2, radius 0.045, landmarks 18 19 20 ")
    assert origin.endswith(" 57 less 29 30)")
