"""Facial action units as smooth displacement fields in face coordinates.

Each unit is a sum of Gaussian bumps at landmarks (Ekman & Friesen's FACS says what moves where; a unit is one
interocular distance, about 63 mm). Used by rendering.py, which adds the fields of all active units.
"""

import itertools

import numpy as np

from .portraits import LOWER_INNER_LIP, UPPER_INNER_LIP

RAISED, LOWERED = "above the eyes, less near them", "above the eyes"
UPPER, LOWER, BOTH = "above the lips' meeting line", "below it", "everywhere"
# unit -> bumps: ((right, left landmark), (outward, down) at full intensity, (width, height), where it acts).
_PAIRED = {
    "1": [((55, 285), (0.0, -0.14), (0.28, 0.30), RAISED)],
    "2": [((105, 334), (0.01, -0.10), (0.26, 0.30), RAISED), ((70, 300), (0.01, -0.06), (0.24, 0.26), RAISED)],
    "4": [((55, 285), (-0.08, 0.13), (0.26, 0.24), LOWERED), ((105, 334), (-0.02, 0.08), (0.26, 0.20), LOWERED)],
    "5": [((159, 386), (0.0, -0.045), (0.20, 0.075), BOTH), ((145, 374), (0.0, 0.02), (0.18, 0.07), BOTH)],
    "6": [((50, 280), (0.01, -0.08), (0.32, 0.24), BOTH), ((145, 374), (0.0, -0.035), (0.18, 0.08), BOTH)],
    "7": [((145, 374), (0.0, -0.045), (0.18, 0.075), BOTH)],
    "9": [
        ((64, 294), (0.02, -0.08), (0.17, 0.16), BOTH),
        ((193, 417), (-0.01, -0.04), (0.14, 0.16), BOTH),
        ((55, 285), (-0.04, 0.07), (0.24, 0.18), LOWERED),
        ((37, 267), (0.0, -0.05), (0.20, 0.14), UPPER),
    ],
    "10": [
        ((39, 269), (0.01, -0.10), (0.20, 0.15), UPPER),
        ((205, 425), (0.01, -0.05), (0.24, 0.20), BOTH),
        ((84, 314), (0.0, -0.075), (0.22, 0.15), LOWER),
    ],
    "12": [((61, 291), (0.14, -0.13), (0.22, 0.22), BOTH), ((205, 425), (0.03, -0.05), (0.26, 0.22), BOTH)],
    "15": [((61, 291), (0.01, 0.10), (0.18, 0.18), BOTH)],
    "20": [((61, 291), (0.08, 0.02), (0.18, 0.18), BOTH)],
    "23": [((61, 291), (-0.06, 0.0), (0.18, 0.16), BOTH)],
}
_CENTRAL = {
    "17": [((199, 199), (0.0, -0.07), (0.36, 0.20), LOWER), ((17, 17), (0.0, -0.04), (0.30, 0.10), LOWER)],
    "18": [((61, 61), (0.09, 0.0), (0.18, 0.18), BOTH), ((291, 291), (-0.09, 0.0), (0.18, 0.18), BOTH)],
    "24": [((0, 0), (0.0, 0.035), (0.32, 0.07), UPPER), ((17, 17), (0.0, -0.05), (0.32, 0.08), LOWER)],
    "25": [((14, 14), (0.0, 0.08), (0.32, 0.14), LOWER), ((13, 13), (0.0, -0.05), (0.32, 0.14), UPPER)],
    "gaze_x": [((468, 468), (0.10, 0.0), (0.12, 0.07), BOTH), ((473, 473), (0.10, 0.0), (0.12, 0.07), BOTH)],
    "gaze_y": [((468, 468), (0.0, 0.05), (0.10, 0.06), BOTH), ((473, 473), (0.0, 0.05), (0.10, 0.06), BOTH)],
}
_OWN_SHAPE = ("26", "yaw", "pitch")  # jaw drop, and what turning the head does to a relief
BLINK = "45"  # see eyelids.py
UNITS = (*(f"{unit}{side}" for unit in _PAIRED for side in "RL"), *_CENTRAL, *_OWN_SHAPE, BLINK)
_JAW_DROP = 0.34  # of the lower lip at full intensity
# Skin folds that darken with units: unit, depth, half-width, polyline on either side (a pair: halfway between).
_FOLDS = (
    ("12", 0.30, 0.035, ((129, 203, 206, 216), (358, 423, 426, 436))),
    ("10", 0.32, 0.035, ((129, 203, 206), (358, 423, 426))),
    ("9", 0.12, 0.030, ((188, 196), (412, 419))),
    ("4", 0.32, 0.028, (((55, 9), (55, 8), (193, 168)), ((285, 9), (285, 8), (417, 168)))),
    ("6", 0.12, 0.045, ((111, 117, 118, 119, 120), (340, 346, 347, 348, 349))),
    ("1", 0.13, 0.040, ((69, 108, 151), (299, 337, 151))),
    ("15", 0.25, 0.030, ((61, 212), (291, 432))),
)


def displacements(points, where, lower=None):
    """Where each unit but the blink, at full intensity, moves the face: `{unit: [..., 2]}` in face coordinates.

    `points [478, 2]` the person's landmarks; `where [..., 2]` positions; `lower [...]` in [0, 1] says how far a
    position belongs to the lower lip and jaw (default: from the line where the lips meet).
    """
    lower = below_lips(points, where) if lower is None else lower
    above_eyes = _above_eyes(points, where)
    share = {
        RAISED: np.clip(above_eyes / 0.28, 0, 1),
        LOWERED: np.clip((above_eyes + 0.03) / 0.06, 0, 1),
        UPPER: 1 - lower,
        LOWER: lower,
        BOTH: 1.0,
    }
    fields = {}
    for unit, bumps in _PAIRED.items():
        for side in (0, 1):
            field = np.zeros_like(where)
            for pair, (outward, down), size, region in bumps:
                move = ((outward, down), (-outward, down))[1 - side]
                field += _bump(where, points[pair[side]], move, size, share[region])
            fields[f"{unit}{'RL'[side]}"] = field
    for unit, bumps in _CENTRAL.items():
        fields[unit] = sum(_bump(where, points[p], move, size, share[at]) for (p, _), move, size, at in bumps)
    fields["26"] = _jaw(points, where, lower)
    height = relief(points, where)
    fields["yaw"] = np.stack([height, np.zeros_like(height)], axis=-1)
    fields["pitch"] = np.stack([np.zeros_like(height), height], axis=-1)
    return fields


def folds(points, where):
    """Darkening `{unit: [...]}` of the skin folds of each sided unit at full intensity."""
    shades = {}
    for unit, depth, width, lines in _FOLDS:
        for side, line in zip("RL", lines, strict=True):
            corners = np.array(
                [points[[p]].mean(axis=0) if isinstance(p, int) else points[list(p)].mean(axis=0) for p in line]
            )
            distance = _distance_to_line(where, corners)
            shades[f"{unit}{side}"] = depth * np.exp(-((distance / width) ** 2))
    return shades


def below_lips(points, where):
    """Share `[...]` of each position that moves with the jaw: 0 above the lips' meeting line, 1 below."""
    line = (points[list(UPPER_INNER_LIP)] + points[list(LOWER_INNER_LIP)]) / 2
    order = np.argsort(line[:, 0])
    u, v = where[..., 0], where[..., 1]
    seam = np.interp(u, line[order, 0], line[order, 1])
    beside = np.maximum(np.maximum(line[:, 0].min() - u, u - line[:, 0].max()), 0)
    return _smooth_step((v - seam + 0.015) / (0.03 + 0.9 * beside))  # sharp between the lips, soft in the cheeks


def lip_drop(points, where):
    """How far the lower lip follows the jaw `[...]`: 1 in the middle, 0 at the corners of the mouth."""
    right, left = points[61, 0], points[291, 0]
    off_centre = np.abs(where[..., 0] - (right + left) / 2) / ((left - right) / 2)
    return 1 - np.clip(off_centre, 0, 1) ** 3


def _above_eyes(points, where):
    """Height above the upper lids `[...]`: brows move without the eyeballs."""
    ends = points[[33, 159, 133, 362, 386, 263]]
    return np.interp(where[..., 0], ends[:, 0], ends[:, 1]) - 0.03 - where[..., 1]


def _bump(where, centre, move, size, share):
    offset = where - (centre + np.array(move) / 2)
    reach = np.exp(-((offset[..., 0] / size[0]) ** 2) - (offset[..., 1] / size[1]) ** 2) * share
    return reach[..., None] * move


def _jaw(points, where, lower):
    u, v = where[..., 0], where[..., 1]
    chin = points[152]
    below = np.exp(-((np.maximum(v - chin[1] - _JAW_DROP * 0.6, 0) / 0.30) ** 2))
    beside = np.exp(-(((u - chin[0]) / 0.72) ** 4))
    # The lip opens as an arc; from there to the chin all of the jaw goes down as one.
    arc = lip_drop(points, where)
    share = arc + (1 - arc) * _smooth_step((v - points[[61, 291], 1].mean() - 0.15) / 0.65)
    field = np.zeros_like(where)
    field[..., 1] = _JAW_DROP * lower * share * below * beside
    for index, inward in ((61, 1), (291, -1)):
        field += _bump(where, points[index], (0.08 * inward, 0.02), (0.17, 0.20), 1.0)
    return field


def relief(points, where):
    """Height `[...]` of the face above the plane through the ears, about 1 at the tip of the nose."""
    broad = np.exp(-(((where - [points[1, 0], 0.55]) / [0.95, 1.3]) ** 2).sum(axis=-1))
    nose = np.exp(-(((where - points[1]) / [0.24, 0.36]) ** 2).sum(axis=-1))
    return 0.65 * broad + 0.35 * nose


def _distance_to_line(where, line):
    nearest = np.full(where.shape[:-1], np.inf)
    for start, end in itertools.pairwise(line):
        along = end - start
        share = np.clip(((where - start) @ along) / (along @ along), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(where - start - share[..., None] * along, axis=-1))
    return nearest


def _smooth_step(x):
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
