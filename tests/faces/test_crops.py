import numpy as np
import pytest

from fedn_pipeline.faces import crops, geometry
from fedn_pipeline.files import InputError


@pytest.fixture(scope="module")
def written(tmp_path_factory, settings, face):
    """30 crops of a moving face, and the file they were written to."""
    turn = [np.array([0.9, 0.01 * i, -0.5 * i, 2.0]) for i in range(30)]
    pictures = [crops.warp(face, similarity, 224) for similarity in turn]
    path = tmp_path_factory.mktemp("crops") / f"face{crops.CROPS_SUFFIX}"
    crops.write(path, pictures, 29.97, settings)
    return path, pictures


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other.astype(float)) ** 2))


def test_every_crop_comes_back_nearly_lossless(written):
    path, pictures = written
    back = list(crops.read(path))
    assert len(back) == 30 == crops.n_frames(path)
    assert back[0].shape == (224, 224, 3) and back[0].dtype == np.uint8
    assert min(psnr(a, b) for a, b in zip(back, pictures, strict=True)) >= 45
    assert path.stat().st_size / 30 <= 60_000


def test_random_access_equals_reading_through(written):
    path, _ = written
    back = list(crops.read(path))
    indices = [29, 0, 13, 12, 11, 13, 24]
    chosen = crops.read_frames(path, indices)
    assert chosen.shape == (7, 224, 224, 3)
    for index, crop in zip(indices, chosen, strict=True):
        assert np.array_equal(crop, back[index])


def test_bytes_repeat(written, settings, tmp_path):
    path, pictures = written
    again = tmp_path / f"again{crops.CROPS_SUFFIX}"
    crops.write(again, pictures, 29.97, settings)
    assert again.read_bytes() == path.read_bytes()


def test_a_frame_outside_is_an_error(written):
    with pytest.raises(InputError, match="frame 30 is not one of its 30 crops"):
        crops.read_frames(written[0], [3, 30])


def test_a_damaged_file_is_an_error(written, tmp_path):
    data = bytearray(written[0].read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged\.mp4"):
        list(crops.read(damaged))


def test_not_a_crops_file(tmp_path):
    path = tmp_path / "words.mp4"
    path.write_text("words")
    with pytest.raises(InputError, match=r"words\.mp4"):
        list(crops.read(path))


def test_nothing_is_left_when_writing_fails(tmp_path, settings):
    def failing():
        yield np.zeros((224, 224, 3), dtype=np.uint8)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        crops.write(tmp_path / "half.mp4", failing(), 30, settings)
    assert list(tmp_path.iterdir()) == []


def test_warp_samples_bilinearly_and_missing_is_black(face):
    # u = 2x, v = 2y: crop pixel (7, 5) lies halfway between source pixels 3 and 4, 2 and 3.
    crop = crops.warp(face, np.array([2.0, 0, 0, 0]), 64)
    expected = face[2:4, 3:5].astype(float).mean(axis=(0, 1))
    assert np.abs(crop[5, 7] - expected).max() <= 1
    assert np.array_equal(crop[8, 6], face[4, 3])
    similarities = np.array([[1.0, 0, 0, 0], [np.nan] * 4])
    first, second = crops.warped([face, face], similarities, 64)
    assert np.array_equal(first, face[:64, :64]) and not second.any()
    assert geometry.source_px(similarities[0]) == 1
