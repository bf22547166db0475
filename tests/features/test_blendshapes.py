"""The backbone `blendshapes`: what one crop gives, and the values of a video."""

import numpy as np
import pytest
from skimage.data import astronaut

from fedn_pipeline import config
from fedn_pipeline.faces import crops, geometry, landmarks
from fedn_pipeline.features import blendshapes


@pytest.fixture(scope="module")
def reader():
    with landmarks.Landmarker(1, 0.5, video=False, expressions=True) as reader:
        yield reader


@pytest.fixture(scope="module")
def crop(reader):
    """`(crop of a smiling face, similarity)` of a photograph in the public domain."""
    photograph = np.ascontiguousarray(astronaut()[0:300, 80:370])
    similarity = geometry.mesh_similarity(reader.detect(photograph)[0], 224)
    return crops.warp(photograph, similarity, 224), similarity


def test_a_smile_is_seen_and_gaze_is_left_out(reader, crop):
    raw = blendshapes.look(reader, *crop)
    coefficients, _ = reader.expression(crop[0])
    assert raw.shape == (blendshapes.N_RAW,) and len(coefficients) == 52
    np.testing.assert_array_equal(raw[: blendshapes.N_COEFFICIENTS], np.delete(coefficients, blendshapes.GAZE))
    assert raw[36:38].min() > 0.5  # mouthSmileLeft, mouthSmileRight (44 and 45 of the 52)


def test_nothing_in_an_empty_crop(reader):
    assert np.isnan(blendshapes.look(reader, np.full((224, 224, 3), 90, np.uint8), np.array([1, 0, 0, 0]))).all()


def test_roll_is_that_of_the_picture(reader, crop):
    """The crop stays the same where the picture was turned: only the similarity knows."""
    image, (a, b, tx, ty) = crop
    turn = np.exp(1j * np.pi / 6)
    turned = (a + 1j * b) * turn
    roll = blendshapes.N_COEFFICIENTS + 2
    before = blendshapes.look(reader, image, np.array([a, b, tx, ty]))
    after = blendshapes.look(reader, image, np.array([turned.real, turned.imag, tx, ty]))
    assert after[roll] - before[roll] == pytest.approx(1 / 6)
    np.testing.assert_allclose(after[:roll], before[:roll])


def test_relative_values_do_not_know_the_person():
    generator = np.random.default_rng(0)
    raw, face = generator.normal(size=(50, blendshapes.N_RAW)), np.ones(50, dtype=bool)
    one, _ = blendshapes.of_steps(raw, face, 5)
    other, _ = blendshapes.of_steps(raw + 0.3, face, 5)
    assert one.shape == (50, blendshapes.WIDTH) and one.dtype == np.float16
    np.testing.assert_allclose(one[:, blendshapes.ABSOLUTE :], other[:, blendshapes.ABSOLUTE :], atol=2e-3)
    np.testing.assert_allclose(np.median(one[:, blendshapes.ABSOLUTE :], axis=0), 0, atol=2e-3)


def test_short_failures_are_bridged_and_faceless_steps_are_zero():
    raw, face = np.ones((60, blendshapes.N_RAW)), np.ones(60, dtype=bool)
    raw[10:13], raw[30:50], face[55:] = np.nan, np.nan, False
    features, valid = blendshapes.of_steps(raw, face, 5)
    assert valid[10:13].all() and not valid[30:50].any() and not valid[55:].any()
    assert (features[~valid] == 0).all() and (features[valid][:, : blendshapes.ABSOLUTE] == 1).all()


@pytest.mark.parametrize("name", ["blendshapes", "blendshapes_by_photograph"])
def test_the_experiments_read_its_width(name):
    assert config.resolve("config", experiment=name)["model"]["feature_width"] == blendshapes.WIDTH
