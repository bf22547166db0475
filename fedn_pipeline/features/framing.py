"""Where the crops' framing lies in a stranger's picture of a face: from 68 landmarks, or from a box around the face.

Used by `affectnet`, so that the backbone learns from faces framed as the faces stage frames them. A similarity here is
`(a, b, tx, ty)` from picture px to a crop of side 1, as in `faces/geometry.py`.
"""

import functools

import numpy as np

from fedn_pipeline.faces import geometry
from fedn_pipeline.faces.landmarks import N_IBUG, canonical_face, to_ibug

# Points of the iBUG 68 that do not move with expressions (OpenFace's choice). Their fit onto the canonical face is put
# into OpenFace's frame by two numbers, fitted to the 288 frames of its sample video default.wmv as those of `geometry`.
RIGID = [1, 2, 3, 4, 12, 13, 14, 15, 27, 28, 29, 31, 32, 33, 34, 35, 36, 39, 40, 41, 42, 45, 46, 47]
CROP_SIDES_PER_CM = 6.738 / 112
ORIGIN_HEIGHT = 48.06 / 112
MAX_CROP = 4  # a crop's side may be this many times the picture's: beyond, the landmarks are wrong


def landmark_similarity(numbers):
    """Similarity `(a, b, tx, ty)` from x0, y0, x1, ... of the iBUG 68 points (px), or None."""
    if len(numbers) != 2 * N_IBUG or not np.isfinite(numbers).all():
        return None
    points = np.asarray(numbers).reshape(N_IBUG, 2)[RIGID]
    if (np.ptp(points, axis=0) < 1).any():  # all -1 or -2 where no face was found
        return None
    return geometry.fit_similarity(points, _targets())


@functools.cache
def _targets():
    """Places `[24, 2]` of the rigid points in a crop of side 1."""
    return to_ibug(canonical_face()[0])[RIGID, :2] * CROP_SIDES_PER_CM + [0.5, ORIGIN_HEIGHT]


def box_similarity(numbers):
    """Similarity of the square around the middle of a box x, y, width, height (px) to a crop of side 1, or None."""
    if not np.isfinite(numbers).all() or min(numbers[2:]) < 1:
        return None
    x, y, width, height = numbers
    side = max(width, height)
    return np.array([1, 0, side / 2 - x - width / 2, side / 2 - y - height / 2]) / side


def fits(similarity, size):
    """Whether a crop has its middle in the picture of `size` (height, width) and is not much larger; False for None."""
    if similarity is None or not np.isfinite(similarity).all():
        return False
    middle = geometry.transform(geometry.inverse(similarity), np.array([0.5, 0.5]))
    return bool(
        (middle >= 0).all() and (middle <= size[::-1]).all() and geometry.source_px(similarity) < MAX_CROP * size.max()
    )
