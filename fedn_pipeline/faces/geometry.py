"""Similarity transforms from a face in the picture to its 224x224 crop, framed as OpenFace frames it.

Third step of the faces stage. OpenFace fits a scale, a rotation and a shift (Procrustes) of rigid points onto its mean
shape. Here the mesh is fitted onto the landmark model's own canonical face, with that model's own weights for rigid
vertices, and two calibration constants bring the result into OpenFace's frame.

A similarity is `(a, b, tx, ty)`, float64: `u = a x - b y + tx`, `v = b x + a y + ty` takes a source pixel to a crop
pixel. Inside this module it is two complex numbers, `w = (a + ib) z + (tx + i ty)`.
"""

import numpy as np

from fedn_pipeline.faces.landmarks import N_MESH, canonical_face

# Calibration, the two numbers not known beforehand: fitted (least squares over the corners of all crops) to the crops
# that a real OpenFace 2.x made of the 288 frames of its sample video default.wmv. The face's middle is put on the
# crop's middle from left to right, since a face is symmetric.
CROP_PX_PER_CM = 6.981 / 112  # crop sides per centimetre of the canonical face
ORIGIN_HEIGHT = 48.23 / 112  # the canonical face's origin in the crop, as a share of its side, from the top

# OpenFace's own frame: crop pixels per millimetre of its mean shape, at its standard crop size.
OPENFACE_SCALE = 0.7
OPENFACE_SIZE = 112


def _complex(points):
    return points[..., 0] + 1j * points[..., 1]


def fit_similarity(points, targets, weights=None):
    """Least-squares similarity `(a, b, tx, ty)` that takes `points [n, 2]` to `targets [n, 2]` (Procrustes)."""
    weights = np.full(len(points), 1 / len(points)) if weights is None else weights / weights.sum()
    source, target = _complex(np.asarray(points, float)), _complex(np.asarray(targets, float))
    source_middle, target_middle = weights @ source, weights @ target
    centred = source - source_middle
    turn = (weights * centred.conj()) @ (target - target_middle) / (weights @ np.abs(centred) ** 2)
    shift = target_middle - turn * source_middle
    return np.array([turn.real, turn.imag, shift.real, shift.imag])


def transform(similarity, points):
    """Source points `[..., 2]` -> crop points `[..., 2]`."""
    a, b, tx, ty = similarity
    x, y = points[..., 0], points[..., 1]
    return np.stack([a * x - b * y + tx, b * x + a * y + ty], axis=-1)


def inverse(similarity):
    """The similarity that takes crop pixels back to source pixels."""
    a, b, tx, ty = similarity
    turn = 1 / complex(a, b)
    shift = -turn * complex(tx, ty)
    return np.array([turn.real, turn.imag, shift.real, shift.imag])


def matrix(similarity):
    """As the `[2, 3]` matrix that OpenCV's warpAffine takes."""
    a, b, tx, ty = similarity
    return np.array([[a, -b, tx], [b, a, ty]])


def mesh_similarity(mesh, size):
    """Similarity of a face's mesh `[478, 2]` px to its crop of `size` px."""
    vertices, weights = canonical_face()
    targets = vertices[:, :2] * (CROP_PX_PER_CM * size) + np.array([0.5, ORIGIN_HEIGHT]) * size
    return fit_similarity(mesh[:N_MESH], targets, weights)


def source_px(similarity):
    """Source pixels per crop pixel `[...]`; times the crop's size it is about the width of the face."""
    return 1 / np.hypot(similarity[..., 0], similarity[..., 1])


def openface_similarity(points, mean_shape, stable, origin_px, size):
    """OpenFace's own alignment (shared data README), for landmarks that OpenFace itself found.

    `points [68, 2]` px, `mean_shape [n, 2]` mm and `stable [n]` int: the points of the mean shape and which of the 68
    they are; `origin_px [2]` is `p_tx, p_ty` of its csv. The rotation comes from the Procrustes fit; the scale is the
    ratio of the two shapes' norms (not the least-squares one, which is up to 2 % smaller: 5 grey levels in a turned
    face); the model's origin lands on the crop's centre.
    """
    points = np.asarray(points, float)[stable]
    targets = np.asarray(mean_shape, float) * (OPENFACE_SCALE * size / OPENFACE_SIZE)
    a, b, _, _ = fit_similarity(points, targets)
    norm_ratio = np.linalg.norm(targets - targets.mean(0)) / np.linalg.norm(points - points.mean(0))
    a, b = np.array([a, b]) * norm_ratio / np.hypot(a, b)
    shift = np.full(2, size / 2) - transform((a, b, 0, 0), np.asarray(origin_px, float))
    return np.array([a, b, *shift])


def corner_distance(similarity, other, size):
    """Mean distance, in crop px, of the crop's corners taken back by one similarity and forward by the other."""
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], float)
    moved = transform(other, transform(inverse(similarity), corners))
    return float(np.linalg.norm(moved - corners, axis=1).mean())
