"""A folder of numbered images on one fixed frame axis: the counterpart of video.py, in the same terms.

Frame k is the image numbered k + first_number, whether or not its neighbours are there. Where an image is absent or
damaged (0 bytes, cut short, not decodable, another size than the first good one) the previous good picture stands in,
before the first good one that one. Such a frame is marked as damaged and still counts as a frame, with landmarks of
its own (datasets.md). Damage that leaves a picture decodable cannot be seen and is not marked.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedn_pipeline.dataset.frames import first_of, n_frames, numbered_images, read_picture, read_shape
from fedn_pipeline.files import InputError


@dataclass(frozen=True)
class ImagesInfo:
    """A folder's frame axis: `damaged`, `missing` (no file) `[n_frames]` bool, `files` the images that stand there.

    `resized` counts the images that are left out for having another size.
    """

    n_frames: int
    fps: float
    width: int
    height: int
    damaged: np.ndarray
    missing: np.ndarray
    files: list[Path]
    resized: int
    header_frames = None  # a folder announces nothing
    filled = True  # landmarks are looked for in the picture that stands in

    @property
    def n_damaged(self):
        return int(self.damaged.sum())

    def warnings(self):
        """Sentences for the user; empty for a sound folder."""
        n_missing, found = int(self.missing.sum()), []
        for count, fault in (
            (n_missing, "have no image"),
            (self.n_damaged - n_missing - self.resized, "have a damaged image"),
            (self.resized, f"have an image that is not {self.width} x {self.height} px as the first one"),
        ):
            if count:
                found.append(f"{count} of {self.n_frames} frames {fault}; they repeat the picture before")
        return found


def probe(folder, fps, first_number=None):
    """Decode every image of `folder` once and return its ImagesInfo; `first_number` as in `frames.first_of`.

    Raises InputError for a folder that does not exist or holds no decodable image, and without a frame rate.
    """
    if not fps:
        raise InputError(f"{folder}: a folder of images has no frame rate of its own; give one with --fps")
    images = numbered_images(folder)
    if not images:
        raise InputError(f"{folder}: the folder holds no numbered images")
    first_number = first_of(images, first_number)
    count = n_frames(images, first_number, folder)
    missing, resized, good, shape = np.ones(count, dtype=bool), 0, {}, None
    for number, path in images.items():
        frame = number - first_number
        missing[frame] = False
        found = read_shape(path)
        shape = shape or found
        if found and found == shape:
            good[frame] = path
        resized += found not in (None, shape)
    if not good:
        raise InputError(f"{folder}: none of the {len(images)} images can be decoded")
    damaged, files, path = np.ones(count, dtype=bool), [], next(iter(good.values()))
    damaged[list(good)] = False
    for frame in range(count):
        path = good.get(frame, path)
        files.append(path)
    return ImagesInfo(count, float(fps), shape[1], shape[0], damaged, missing, files, resized)


def frames(info):
    """Yield each frame as RGB uint8 `[height, width, 3]`, `info.n_frames` in all; one is held at a time.

    Raises InputError for an image that has changed since `probe`.
    """
    held = picture = None
    for path in info.files:
        if path != held:
            held, picture = path, read_picture(path)
            if picture is None or picture.shape[:2] != (info.height, info.width):
                raise InputError(f"{path}: the image has changed while it was being processed")
        yield picture
