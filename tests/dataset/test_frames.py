"""Folders of numbered images: numbers, gaps, damage, and what is no folder of frames."""

import cv2
import numpy as np
import pytest

from fedn_pipeline.dataset import frames
from fedn_pipeline.files import InputError

PICTURE = cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8), (64, 48))
FORMATS = (".jpg", ".png", ".bmp", ".tif")


def encoded(suffix=".jpg", picture=PICTURE):
    return cv2.imencode(suffix, picture)[1].tobytes()


@pytest.fixture
def folder(tmp_path):
    """Function `{file name: bytes}` -> a folder with these files."""

    def write(files):
        place = tmp_path / "clip"
        place.mkdir()
        for name, data in files.items():
            (place / name).write_bytes(data)
        return place

    return write


def survey(place, first_number=None):
    return frames.survey({"clip": place}, first_number, progress=False)["clip"]


def test_numbers_are_ordered_as_numbers(folder):
    names = ["img_10.JPG", "img_9.jpeg", "img_2.png", "s15_0401_img100.bmp", "take2_img11.tiff"]
    place = folder(dict.fromkeys([*names, "Thumbs.db", ".img_3.jpg", "._img_4.jpg", "cover.jpg", "img_5.txt"], b"x"))
    found = frames.numbered_images(place)
    assert list(found) == [2, 9, 10, 11, 100]
    assert found[11].name == "take2_img11.tiff" and found[10] == place / "img_10.JPG"


def test_two_files_with_one_number(folder):
    place = folder({"1.jpg": encoded(), "001.png": encoded(".png")})
    with pytest.raises(InputError, match=r"clip: two images have the number 1: 001\.png, 1\.jpg"):
        frames.numbered_images(place)
    assert "two images have the number 1" in survey(place).problem


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere: no folder of images"):
        frames.numbered_images(tmp_path / "nowhere")


def test_survey_of_a_folder_without_its_first_and_some_inner_files(folder):
    files = {f"{number}.jpg": encoded() for number in [*range(7, 20), *range(22, 30), 31]}
    found = survey(folder(files | {"25.jpg": b""}), first_number=0)
    assert (found.first_number, found.n_frames, found.width, found.height) == (0, 32, 64, 48)
    assert found.gaps == [(0, 7), (20, 22), (25, 26), (30, 31)] and found.empty == [25] and found.problem is None


@pytest.mark.parametrize(
    ("numbers", "given", "first", "count"),
    [
        ([1, 2, 3], None, 1, 3),
        ([0, 1, 2], None, 0, 3),
        ([8, 9], None, 1, 9),
        ([8, 9], 0, 0, 10),
        ([8, 9], 8, 8, 2),
    ],
)
def test_first_number(folder, numbers, given, first, count):
    found = survey(folder({f"f{number:04d}.png": encoded(".png") for number in numbers}), given)
    assert (found.first_number, found.n_frames) == (first, count)
    assert found.gaps == ([(0, min(numbers) - first)] if min(numbers) > first else [])


@pytest.mark.parametrize(
    ("files", "first_number", "problem"),
    [
        ({}, None, "no numbered images"),
        ({"cover.jpg": encoded()}, None, "no numbered images"),
        ({"1.jpg": b"", "2.jpg": encoded()[:300]}, None, "none of the 2 images can be decoded"),
        ({"0.jpg": encoded(), "1.jpg": encoded()}, 1, "an image is numbered 0, but frame 0 is number 1"),
        ({"20240131120000.jpg": encoded(), "20240131120001.jpg": encoded()}, None, "no numbers of frames"),
    ],
)
def test_a_folder_that_cannot_be_used_has_a_problem(folder, files, first_number, problem):
    found = survey(folder(files), first_number)
    assert problem in found.problem and found.n_frames == 0


def test_many_folders_keep_their_names_and_order(tmp_path):
    names = [f"v{number}" for number in range(12, 0, -1)]
    for number, name in enumerate(names[:-1], 1):
        (tmp_path / name).mkdir()
        for frame in range(number):
            (tmp_path / name / f"{frame}.png").write_bytes(encoded(".png"))
    found = frames.survey({name: tmp_path / name for name in names}, None, progress=False)
    assert list(found) == names
    assert [entry.n_frames for entry in found.values()] == [*range(1, 12), 0]
    assert "no folder of images" in found["v1"].problem


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_picture_and_its_damage(folder, suffix):
    data = encoded(suffix)
    place = folder({"whole": data, "empty": b"", "words": b"not an image", "behind": data + b"\0" * 100})
    for name in ("whole", "behind"):
        picture = frames.read_picture(place / name)
        assert picture.shape == (48, 64, 3) and frames.read_shape(place / name) == (48, 64)
        assert np.abs(picture[..., ::-1].astype(int) - PICTURE).mean() < (10 if suffix == ".jpg" else 1)
    for share in (0.02, 0.3, 0.6, 0.9):
        (place / "cut").write_bytes(data[: int(len(data) * share)])
        assert frames.read_picture(place / "cut") is None and frames.read_shape(place / "cut") is None, share
    for name in ("empty", "words", "absent"):
        assert frames.read_picture(place / name) is None


def test_grey_becomes_rgb(folder):
    place = folder({"1.png": encoded(".png", PICTURE[..., 0])})
    picture = frames.read_picture(place / "1.png")
    assert (picture == PICTURE[..., :1]).all()


def test_the_end_of_an_embedded_preview_is_not_the_picture_s(folder):
    """EXIF may hold a small JPEG, with an end marker of its own, before the picture."""
    data, preview = encoded(), encoded(picture=PICTURE[:16, :16])
    segment = b"\xff\xe1" + (len(preview) + 2).to_bytes(2, "big") + preview
    whole = data[:2] + segment + data[2:]
    place = folder({"whole.jpg": whole, "cut.jpg": whole[:-50], "padded.jpg": data[:2] + b"\xff\xff" + data[2:]})
    assert frames.read_shape(place / "whole.jpg") == (48, 64) and frames.read_picture(place / "cut.jpg") is None
    assert frames.read_shape(place / "padded.jpg") == (48, 64)
