"""A folder of numbered images on one fixed frame axis: the counterpart of video.py, in the same terms.

Frame k is the image numbered k + first_number, whether or not its neighbours are there. Where an image is absent or
damaged (0 bytes, cut short, not decodable, another size than most) the previous good picture stands in, before the
first good one that one. Such a frame is marked as damaged and still counts as a frame, with landmarks of
its own (datasets.md). Damage that leaves a picture decodable cannot be seen and is not marked.
"""

from collections import Counter
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
            (self.resized, f"have an image that is not {self.width} x {self.height} px as most"),
        ):
            if count:
                found.append(f"{count} of {self.n_frames} frames {fault}; they repeat the picture before")
        return found


def probe(folder, fps, first_number=None):
    """Decode every image of `folder` once and return its ImagesInfo; `first_number` as in `frames.first_of`.

    Raises InputError without a frame rate, for a folder that does not exist, and where more than half of the images are
    damaged or have another size than the commonest.
    """
    if not fps:
        raise InputError(f"{folder}: a folder of images has no frame rate of its own; give one with --fps")
    images = numbered_images(folder)
    if not images:
        raise InputError(f"{folder}: the folder holds no numbered images")
    first_number = first_of(images, first_number)
    count = n_frames(images, first_number, folder)
    shapes = {number: read_shape(path) for number, path in images.items()}
    decoded = [found for found in shapes.values() if found]
    if not decoded:
        raise InputError(f"{folder}: none of the {len(images)} images can be decoded")
    ((shape, n_good),) = Counter(decoded).most_common(1)
    if 2 * n_good < len(images):
        raise InputError(
            f"{folder}: only {n_good} of {len(images)} images can be decoded and have the same size, "
            f"{shape[1]} x {shape[0]} px"
        )
    good = {number - first_number: path for number, path in images.items() if shapes[number] == shape}
    missing, damaged = np.ones(count, dtype=bool), np.ones(count, dtype=bool)
    missing[[number - first_number for number in images]] = False
    damaged[list(good)] = False
    files, path = [], next(iter(good.values()))
    for frame in range(count):
        path = good.get(frame, path)
        files.append(path)
    resized = len(decoded) - n_good
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
