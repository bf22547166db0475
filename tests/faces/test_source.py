"""Video files and folders of images through one door."""

import cv2
import numpy as np
import pytest

from fedn_pipeline.faces import source, video
from fedn_pipeline.files import InputError

COMMON = ("n_frames", "header_frames", "fps", "width", "height", "damaged", "n_damaged", "missing", "filled")


@pytest.fixture
def both(tmp_path, write_video, numbered):
    """The same pictures as a film and as a folder of PNG files decoded from it."""
    path = write_video(tmp_path / "film.mp4", numbered(12), fps=15)
    folder = tmp_path / "folder"
    folder.mkdir()
    for frame, picture in enumerate(video.frames(path)):
        cv2.imwrite(str(folder / f"img{frame + 1}.png"), picture[..., ::-1])
    return path, folder


def test_a_file_and_a_folder_look_alike(both):
    path, folder = both
    film, images = source.probe(path), source.probe(folder, fps=15, first_number=1)
    assert all(hasattr(info, name) for info in (film, images) for name in COMMON)
    for name in ("n_frames", "fps", "width", "height", "n_damaged"):
        assert getattr(film, name) == getattr(images, name), name
    assert film.warnings() == images.warnings() == []
    assert (film.filled, images.filled) == (False, True)
    pairs = list(zip(source.frames(path, film), source.frames(folder, images), strict=True))
    assert len(pairs) == 12 and all(np.array_equal(one, other) for one, other in pairs)
    assert pairs[0][0].dtype == np.uint8 and pairs[0][0].shape == (96, 128, 3)


def test_pictures_come_one_at_a_time(both):
    _, folder = both
    info = source.probe(folder, fps=15)
    pictures = source.frames(folder, info)
    next(pictures)
    (folder / "img5.png").unlink()  # not read yet
    with pytest.raises(InputError, match=r"img5\.png"):
        list(pictures)


def test_the_frame_rate_of_a_folder_must_be_given(both):
    with pytest.raises(InputError, match="--fps"):
        source.probe(both[1])


def test_neither_file_nor_folder(tmp_path):
    with pytest.raises(InputError, match=r"gone\.mp4: no such video file or folder of images"):
        source.probe(tmp_path / "gone.mp4")


def test_openface_s_aligned_faces(shared_data):
    """Eight of 288 frames, numbered from 1."""
    folder = shared_data / "openface_default/default_aligned"
    info = source.probe(folder, fps=15, first_number=1)
    there = [0, 1, 49, 99, 149, 199, 219, 287]
    assert info.n_frames == 288 and np.flatnonzero(~info.missing).tolist() == there
    assert (info.width, info.height) == (224, 224) and sum(1 for _ in source.frames(folder, info)) == 288
