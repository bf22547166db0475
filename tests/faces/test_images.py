"""A folder of numbered images as a source: its frame axis, what stands in for what is absent or damaged."""

import cv2
import numpy as np
import pytest

from fedn_pipeline.faces import images
from fedn_pipeline.files import InputError


@pytest.fixture
def folder(tmp_path, numbered):
    """Function `(numbers, suffix)` -> folder of `NUMBER.png`, whose pictures tell their number."""

    def write(numbers, suffix=".png"):
        place = tmp_path / "clip"
        place.mkdir()
        pictures = numbered(max(numbers) + 1)
        for number in numbers:
            cv2.imwrite(str(place / f"{number}{suffix}"), pictures[number][..., ::-1])
        return place

    return write


def shown(info, numbered):
    """The number of the picture that stands at each frame."""
    reference = numbered(max(int(path.stem) for path in info.files) + 1)
    found = []
    for picture in images.frames(info):
        found += [number for number, wanted in enumerate(reference) if np.array_equal(picture, wanted)]
    return found


def test_gaps_are_filled_from_the_picture_before_and_leading_ones_from_the_first(folder, numbered):
    info = images.probe(folder([2, 3, 5, 8, 9]), fps=25, first_number=0)
    assert (info.n_frames, info.fps, info.width, info.height) == (10, 25, 128, 96)
    assert shown(info, numbered) == [2, 2, 2, 3, 3, 5, 5, 5, 8, 9]
    absent = [frame in (0, 1, 4, 6, 7) for frame in range(10)]
    assert info.missing.tolist() == info.damaged.tolist() == absent and info.n_damaged == 5
    assert info.filled and info.header_frames is None
    assert info.warnings() == ["5 of 10 frames have no image; they repeat the picture before"]
    assert [path.stem for path in info.files] == ["2", "2", "2", "3", "3", "5", "5", "5", "8", "9"]


def test_numbers_without_padding_and_from_one(folder, numbered):
    info = images.probe(folder(range(1, 13)), fps=30)
    assert info.n_frames == 12 and shown(info, numbered) == list(range(1, 13)) and info.warnings() == []


def test_damaged_images_of_every_kind(folder, numbered):
    place = folder(range(10))
    (place / "0.png").write_bytes(b"")
    (place / "3.png").write_bytes((place / "3.png").read_bytes()[:2000])
    (place / "4.png").write_text("words")
    (place / "5.png").write_bytes(cv2.imencode(".png", np.zeros((10, 10), np.uint8))[1].tobytes())
    (place / "7.png").unlink()
    (place / "7.png").symlink_to(place / "nowhere.png")
    info = images.probe(place, fps=30)
    assert np.flatnonzero(info.damaged).tolist() == [0, 3, 4, 5, 7] and not info.missing.any()
    assert shown(info, numbered) == [1, 1, 2, 2, 2, 2, 6, 6, 8, 9]
    assert info.warnings() == [
        "4 of 10 frames have a damaged image; they repeat the picture before",
        "1 of 10 frames have an image that is not 128 x 96 px as most; they repeat the picture before",
    ]


def test_the_commonest_size_counts(folder, numbered):
    place = folder(range(4))
    for number in (0, 1):
        cv2.imwrite(str(place / f"{number}.png"), np.zeros((10, 10 + number), np.uint8))
    info = images.probe(place, fps=30)
    assert (info.width, info.height) == (128, 96) and shown(info, numbered) == [2, 2, 2, 3]
    (place / "3.png").write_bytes(b"")
    with pytest.raises(InputError, match="only 1 of 4 images can be decoded and have the same size"):
        images.probe(place, fps=30)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_a_truncated_jpeg_is_damaged(folder, share):
    place = folder(range(1, 5), ".jpg")
    data = (place / "3.jpg").read_bytes()
    (place / "3.jpg").write_bytes(data[: int(len(data) * share)])
    info = images.probe(place, fps=30)
    assert info.damaged.tolist() == [False, False, True, False]
    pictures = list(images.frames(info))
    assert np.array_equal(pictures[2], pictures[1]) and not np.array_equal(pictures[2], pictures[3])


def test_grey_pictures_become_rgb(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (48, 64), np.uint8)
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f"{number}.bmp"), picture)
    info = images.probe(tmp_path, fps=200)
    assert all((frame == picture[..., None]).all() and frame.shape == (48, 64, 3) for frame in images.frames(info))


@pytest.mark.parametrize(
    ("files", "arguments", "rule"),
    [
        ({}, {"fps": 30}, "no numbered images"),
        ({"1.jpg": b"x", "2.jpg": b""}, {"fps": 30}, "none of the 2 images can be decoded"),
        ({"1.jpg": b"x"}, {"fps": None}, "give one with --fps"),
        ({"0.jpg": b"x"}, {"fps": 30, "first_number": 1}, "numbered 0"),
    ],
)
def test_refused_folders(tmp_path, files, arguments, rule):
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=rule) as error:
        images.probe(tmp_path, **arguments)
    assert str(tmp_path) in str(error.value)


def test_an_image_that_changes_between_the_passes_is_noticed(folder):
    place = folder([1, 2])
    info = images.probe(place, fps=30)
    (place / "2.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"2\.png: the image has changed"):
        list(images.frames(info))
