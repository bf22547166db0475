"""Folders of numbered images: which frames are there, where gaps are, and one picture's size.

The readers of data sets ask `survey` for all folders at once before anything is computed; it reads names and file
sizes, and decodes one picture of each folder. faces/images.py reads the pictures. A frame is the number in the file's
name minus the folder's first number, so that a missing file never shifts a label (datasets.md).
"""

import os
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fedn_pipeline.files import InputError

# A visible image file; the group is the last run of digits before the suffix.
NUMBERED_IMAGE = re.compile(r"(?!\.).*?([0-9]+)[^0-9]*\.(?:jpe?g|png|bmp|tiff?)", re.IGNORECASE | re.DOTALL)
# A folder with fewer files than one in so many frames is numbered by something else (dates, clock times).
SPARSEST = 1000
# A JPEG's segments: two bytes of marker, two of length; the picture follows START_OF_SCAN and ends with END_OF_IMAGE.
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"


@dataclass
class Survey:
    """What one folder holds. Frames are 0-based indices; `n_frames` is the highest number minus the first plus one.

    `gaps` are half-open `(start, end)` without a usable file, `empty` the frames whose file has 0 bytes; both are
    part of the frame axis. `problem` is None, or a sentence, and the numbers are then 0.
    """

    first_number: int = 0
    n_frames: int = 0
    width: int = 0
    height: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    problem: str | None = None


def numbered_images(folder):
    """`{number: path}` in the order of the numbers; the number is the last run of digits in the file's stem.

    Hidden files and those without a number are left out. Raises InputError for a folder that does not exist and for
    two files with one number.
    """
    return {number: Path(path) for number, (path, _) in sorted(_listing(folder, sizes=False).items())}


def image_number(name):
    """The number in an image's file name, or None for any other file."""
    match = NUMBERED_IMAGE.fullmatch(name)
    return int(match[1]) if match else None


def first_of(numbers, first_number=None):
    """The number that is frame 0: the one given, else 0 if there is a file 0, else 1."""
    if first_number is not None:
        return first_number
    return 0 if 0 in numbers else 1


def n_frames(numbers, first_number, folder):
    """Length of the frame axis. Raises InputError where the numbers cannot be frames."""
    count = max(numbers) - first_number + 1
    if min(numbers) < first_number:
        raise InputError(f"{folder}: an image is numbered {min(numbers)}, but frame 0 is number {first_number}")
    if count > SPARSEST * len(numbers):
        raise InputError(f"{folder}: {len(numbers)} images are numbered up to {max(numbers)}: no numbers of frames")
    return count


def read_picture(path):
    """One image as RGB uint8 `[height, width, 3]` (grey is repeated), or None where it is damaged.

    A JPEG without its end is damaged, although decoders of some versions show what there is of it.
    """
    picture = _decoded(path, cv2.IMREAD_COLOR)
    return None if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def read_shape(path):
    """`(height, width)` of one image, or None where it is damaged: `read_picture` without the cost of colour."""
    picture = _decoded(path, cv2.IMREAD_GRAYSCALE)
    return None if picture is None else picture.shape[:2]


def survey(folders, first_number, progress=True):
    """Look through `folders` `{video_id: path}` on all cores; `{video_id: Survey}` in the same order.

    `first_number` as in `first_of`. Nothing is raised: a folder that cannot be used has a `problem`. 1300 folders of
    3000 files take half a minute on two cores.
    """
    look = partial(_survey, first_number=first_number)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ProcessPoolExecutor(max(1, min(cores, len(folders)))) as pool:  # threads gain nothing: the work is Python's
        found = tqdm(pool.map(look, folders.values()), "folders", len(folders), disable=not progress, unit="folder")
        return dict(zip(folders, found, strict=True))


def _listing(folder, sizes):
    """`{number: (path as text, bytes)}` in no order; bytes is None unless `sizes`."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                number = image_number(entry.name)
                if number is None:
                    continue
                if number in found:
                    both = sorted([os.path.basename(found[number][0]), entry.name])
                    raise InputError(f"{folder}: two images have the number {number}: {both[0]}, {both[1]}")
                found[number] = entry.path, _size(entry) if sizes else None
    except OSError as error:
        raise InputError(f"{folder}: no folder of images ({error.strerror})") from error
    return found


def _size(entry):
    try:
        return entry.stat().st_size
    except OSError:  # a broken link
        return 0


def _survey(folder, first_number):
    try:
        files = _listing(folder, sizes=True)
        if not files:
            raise InputError(f"{folder}: the folder holds no numbered images")
        first_number = first_of(files, first_number)
        count = n_frames(files, first_number, folder)
        height, width = _shape(files, folder)
    except InputError as error:
        return Survey(problem=str(error))
    there = np.zeros(count + 2, dtype=np.int8)
    there[[number - first_number + 1 for number, (_, size) in files.items() if size]] = 1
    there[[0, -1]] = 1
    edges = np.flatnonzero(np.diff(there)).reshape(-1, 2).tolist()
    empty = sorted(number - first_number for number, (_, size) in files.items() if not size)
    return Survey(first_number, count, width, height, [tuple(edge) for edge in edges], empty)


def _decoded(path, mode):
    """One image as OpenCV reads it, or None. OpenCV decodes on one thread, so that a forked process may call this."""
    try:
        data = Path(path).read_bytes()
        if data[:2] == b"\xff\xd8" and not _jpeg_ends(data):
            return None
        return cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except (OSError, cv2.error):  # a broken link, 0 bytes
        return None


def _shape(files, folder):
    """`(height, width)` of the first picture that can be decoded."""
    for _, (path, size) in sorted(files.items()):
        shape = read_shape(path) if size else None
        if shape is not None:
            return shape
    raise InputError(f"{folder}: none of the {len(files)} images can be decoded")


def _jpeg_ends(data):
    """Whether the end-of-image marker follows the picture (an embedded preview before it has its own)."""
    position = 2
    while 0 <= position <= len(data) - 4 and data[position : position + 2] != START_OF_SCAN:
        if data[position] == 0xFF and data[position + 1] != 0xFF:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        else:  # padding between segments
            position = data.find(b"\xff", position + 1)
    return position >= 0 and data.find(END_OF_IMAGE, position) >= 0
