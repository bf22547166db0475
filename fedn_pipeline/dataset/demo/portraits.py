"""Two photographs made into many people: the still, neutral picture that every demo frame is warped from.

Second step of the demo data set. Photographs: `skimage.data.astronaut()` (NASA, public domain) and matplotlib's
sample `grace_hopper.jpg` (US Navy, public domain). Face coordinates are upright, in interocular distances, with
their origin between the eyes: `u` to the right, `v` down.
"""

import functools
from dataclasses import dataclass

import cv2
import matplotlib.cbook
import numpy as np
import skimage.data
from scipy.interpolate import LinearNDInterpolator

from fedn_pipeline.faces.landmarks import find_landmarks
from fedn_pipeline.files import InputError

IRISES = (
    468,
    473,
)  # of MediaPipe's 478 landmarks; "right" is the subject's right, on the left of the picture
UPPER_INNER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_INNER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
UPPER_OUTER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_OUTER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
_HAIR = {"astronaut": 1.5, "hopper": 1.1}
_SHEET_UNIT_PX = 84  # interocular distance of the upright, neutral sheet cut from a photograph
_SHEET_SIZE = (1008, 924)
_SHEET_EYES = (504, 378)


@dataclass(frozen=True)
class Portrait:
    """A neutral person, ready for warping.

    `image [height, width, 3] uint8` RGB; `points [478, 2]` landmarks in face coordinates; `eyes` the picture's
    position of the origin of face coordinates and `unit_px` their unit (no rotation); `noise` relative camera noise.
    """

    image: np.ndarray
    points: np.ndarray
    eyes: tuple
    unit_px: float
    noise: float


@functools.cache
def neutral_sheet(photograph, mirrored):
    """The photograph upright, enlarged and neutral: `(image [924, 1008, 4], points [478, 2])`.

    The image's channels are RGB and the person's outline (255 inside).
    """
    if photograph == "astronaut":
        image = skimage.data.astronaut()
    else:
        with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
            encoded = np.frombuffer(file.read(), np.uint8)
        image = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    if mirrored:
        image = np.ascontiguousarray(image[:, ::-1])
    right, left = _landmarks(image)[list(IRISES)]
    across = (left - right) / _SHEET_UNIT_PX
    # Upright sheet -> photograph: the vector between the irises becomes horizontal, its middle _SHEET_EYES.
    matrix = np.array([[across[0], -across[1], 0], [across[1], across[0], 0]])
    matrix[:, 2] = (left + right) / 2 - matrix[:, :2] @ _SHEET_EYES
    sheet = cv2.warpAffine(
        image,
        matrix,
        _SHEET_SIZE,
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if photograph == "astronaut":
        sheet = _without_smile(sheet, to_face(_landmarks(sheet), _SHEET_EYES, _SHEET_UNIT_PX))
    points = to_face(_landmarks(sheet), _SHEET_EYES, _SHEET_UNIT_PX)
    meeting = (points[list(UPPER_INNER_LIP)] + points[list(LOWER_INNER_LIP)]) / 2  # the lips are closed
    points[list(UPPER_INNER_LIP)] = points[list(LOWER_INNER_LIP)] = meeting
    return np.dstack([sheet, _outline(sheet, _HAIR[photograph])]), points


def _landmarks(image):
    points = find_landmarks(image)
    if points is None:
        raise InputError("demo: no face found in a sample photograph: is the package that carries it damaged?")
    return points


def _outline(sheet, hair):
    """The person's silhouette `[height, width] uint8` with soft edges, by GrabCut from a rough figure.

    `hair` half the width of what is surely hair or hat, in face coordinates.
    """
    small = cv2.resize(sheet, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    height, width = small.shape[:2]
    where = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1) * 4.0 + 1.5
    u, v = to_face(where, _SHEET_EYES, _SHEET_UNIT_PX).transpose(2, 0, 1)
    head = np.hypot(u / 1.35, (v - 0.2) / 2.0)
    body = np.hypot(u / 3.4, (v - 5.0) / 3.2)
    mask = np.full((height, width), cv2.GC_BGD, np.uint8)
    mask[np.minimum(head, body) < 1.15] = cv2.GC_PR_BGD
    mask[np.minimum(head, body) < 0.95] = cv2.GC_PR_FGD
    mask[(np.hypot(u / 0.85, (v - 0.4) / 1.35) < 1) | (body < 0.6)] = cv2.GC_FGD
    mask[np.hypot(u / hair, (v + 0.6) / 1.25) < 1] = cv2.GC_FGD
    cv2.setRNGSeed(0)  # GrabCut clusters colours from random starts
    cv2.grabCut(small, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    person = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
    person = cv2.morphologyEx(person, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    soft = cv2.GaussianBlur(cv2.resize(person, sheet.shape[1::-1]), (0, 0), 5)
    return np.clip((soft.astype(np.float32) - 110) * 2.2, 0, 255).astype(np.uint8)  # a little inside the edge


def to_px(points, portrait):
    """Face coordinates -> picture positions in px of a portrait at rest."""
    return points * portrait.unit_px + np.array(portrait.eyes)


def to_face(positions_px, eyes, unit_px):
    """Picture positions in px -> face coordinates."""
    return (np.asarray(positions_px) - eyes) / unit_px


def _without_smile(sheet, points):
    """Close the lips, straighten and narrow the mouth, lower the cheeks, fill the folds beside the mouth."""
    target = points.copy()
    corner = points[[61, 291]].mean(axis=0)
    seam = corner[1] + 0.10
    rings = {
        "upper": (UPPER_INNER_LIP, UPPER_OUTER_LIP, -0.10),
        "lower": (LOWER_INNER_LIP, LOWER_OUTER_LIP, 0.15),
    }
    for inner, outer, thickness in rings.values():
        for ring, height in ((inner, 0), (outer, thickness)):
            across = (points[list(ring), 0] - corner[0]) * 0.80
            target[list(ring), 0] = corner[0] + across
            off_centre = across / np.abs(across).max()
            target[list(ring), 1] = seam + 0.03 * off_centre**2 + height * np.sqrt(1 - off_centre**2)
    lips = np.unique([*UPPER_INNER_LIP, *UPPER_OUTER_LIP, *LOWER_INNER_LIP, *LOWER_OUTER_LIP])
    # Lip points between the rings are dropped; the rest of the face follows the mouth, less with distance.
    distance = np.linalg.norm(points[:, None] - points[None, lips], axis=-1).min(axis=1)
    others = np.flatnonzero(distance > 0.09)
    for index, size in ((61, 0.42), (291, 0.42), (17, 0.3)):
        reach = np.exp(-(((points[others] - points[index]) / size) ** 2).sum(axis=1))
        target[others] += 0.7 * reach[:, None] * (target[index] - points[index])
    border = np.array([[u, v] for u in (-6.0, -1.5, 0, 1.5, 6.0) for v in (-4.5, -1.2, 2.6, 6.5)])

    height, width = sheet.shape[:2]
    where = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    where = to_face(where, _SHEET_EYES, _SHEET_UNIT_PX)
    shift = {}
    for half, (inner, outer, _) in rings.items():  # each lip alone, so that what lies between them vanishes
        keep = np.unique([*others, *inner, *outer])
        inside = np.concatenate([target[keep], border])
        values = np.concatenate([points[keep] - target[keep], np.zeros_like(border)])
        coarse = LinearNDInterpolator(inside, values, fill_value=0)(cv2.resize(where, None, fx=1 / 3, fy=1 / 3))
        shift[half] = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    moved = where + np.where(where[..., 1:] < seam, shift["upper"], shift["lower"])
    moved = (moved * _SHEET_UNIT_PX + _SHEET_EYES).astype(np.float32)
    neutral = cv2.remap(sheet, moved, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    # A grey-value closing fills thin dark lines: used beside the mouth only, where a smile folds the skin.
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (23, 23))
    filled = cv2.GaussianBlur(cv2.morphologyEx(neutral, cv2.MORPH_CLOSE, ellipse), (0, 0), 4)
    weight = np.zeros((height, width))
    for index in (206, 426):
        du, dv = (where - (target[index] + [0, 0.06])).transpose(2, 0, 1)
        weight += np.exp(-((du / 0.22) ** 2) - (dv / 0.24) ** 2)
    weight *= np.clip((np.abs(where[..., 0] - corner[0]) - 0.30) / 0.08, 0, 1)
    weight = np.clip(1.6 * weight, 0, 0.9)[..., None]
    neutral = neutral * (1 - weight) + filled * weight
    # The line where the lips meet lies in shadow.
    reach = np.clip((np.abs(target[[61, 291], 0] - corner[0]).min() - np.abs(where[..., 0] - corner[0])) / 0.06, 0, 1)
    line = 0.55 * reach * np.exp(-(((where[..., 1] - seam) / 0.022) ** 2))
    return np.rint(neutral * (1 - line[..., None])).astype(np.uint8)


def make_portrait(settings, photograph, rng):
    """A new person from a photograph: proportions, mirror, tones, light, background, camera; returns a `Portrait`."""
    width, height = settings["width"], settings["height"]
    sheet, points = neutral_sheet(photograph, mirrored=bool(rng.random() < 0.5))
    unit_px = height * rng.uniform(0.14, 0.165)
    eyes = np.array([width * rng.uniform(0.46, 0.54), height * rng.uniform(0.36, 0.42)])

    # Backward warp at a coarse grid: position in the picture -> face coordinates -> proportions -> sheet.
    coarse = (height // 4, width // 4)
    grid = np.stack(np.meshgrid((np.arange(coarse[1]) + 0.5) * 4 - 0.5, (np.arange(coarse[0]) + 0.5) * 4 - 0.5), -1)
    where = to_face(grid, eyes, unit_px)
    proportions = _proportions(points, rng)
    source = (where - proportions(where)) * _SHEET_UNIT_PX + _SHEET_EYES
    source = cv2.resize(source.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    image = cv2.remap(sheet, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    where = cv2.resize(where.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    image = image.astype(np.float32) / 255
    image = _recoloured(image[..., :3], image[..., 3:], where, rng)
    if (blur := rng.uniform(0, 0.9)) > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    image = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    moved = points.copy()
    for _ in range(30):  # the landmarks' new places x solve x - shift(x) = old place
        moved = points + proportions(moved)
    return Portrait(image, moved, tuple(eyes), unit_px, rng.uniform(0.5, 1.2))


def _proportions(points, rng):
    """One person's proportions: a function from positions `[..., 2]` in face coordinates to the displacement there.

    Smooth and without folds. `points [478, 2]` are the landmarks of the sheet.
    """
    mouth, chin, nose = points[[61, 291]].mean(axis=0), points[152], points[1]
    spread, size, brow = rng.uniform(-0.05, 0.05), rng.uniform(-0.10, 0.16), rng.uniform(-0.05, 0.04)
    # Centre, extent, stretch across, stretch down, shift across, shift down.
    stretches = [
        ((0, 0.5), (1.6, 2.2), rng.uniform(-0.10, 0.10), 0, 0, 0),  # width of the head
        (chin, (0.9, 0.55), rng.uniform(-0.16, 0.16), 0, 0, rng.uniform(-0.10, 0.12)),  # jaw
        (mouth, (0.55, 0.28), rng.uniform(-0.14, 0.14), 0, 0, rng.uniform(-0.05, 0.05)),
        (mouth, (0.45, 0.16), 0, rng.uniform(-0.15, 0.30), 0, 0),  # lips
        (nose, (0.30, 0.30), rng.uniform(-0.22, 0.22), 0, 0, rng.uniform(-0.07, 0.07)),
        ((0, -0.9), (1.3, 0.7), 0, rng.uniform(-0.12, 0.12), 0, 0),  # forehead
    ]
    for u, outward in zip(points[list(IRISES), 0], (-1, 1), strict=True):
        stretches += [((u, 0), (0.36, 0.30), size, size, outward * spread, 0)]  # eyes
        stretches += [((u, -0.30), (0.40, 0.20), 0, 0, 0, brow)]

    def displacement(where):
        shift = np.zeros_like(where)
        for centre, extent, *amounts in stretches:
            du, dv = where[..., 0] - centre[0], where[..., 1] - centre[1]
            reach = np.exp(-((du / extent[0]) ** 2) - (dv / extent[1]) ** 2)
            shift[..., 0] += reach * (amounts[0] * du + amounts[2])
            shift[..., 1] += reach * (amounts[1] * dv + amounts[3])
        return shift

    return displacement


def _recoloured(image, person, where, rng):
    """Skin tone, colour balance, background and a light from one side on an RGB picture in [0, 1]."""
    u, v = where[..., 0], where[..., 1]
    small = cv2.resize(image, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
    background = cv2.resize(cv2.GaussianBlur(small, (0, 0), rng.uniform(2, 7)), image.shape[1::-1])
    tint = rng.uniform(0.15, 0.8, 3).astype(np.float32) * (1 + 0.06 * rng.uniform(-1, 1) * u[..., None])
    share = rng.uniform(0.5, 0.95)
    background = (1 - share) * background + share * tint
    tone = cv2.pow(image, rng.uniform(0.75, 1.5))  # darker or lighter skin and hair
    grey = cv2.cvtColor(tone, cv2.COLOR_RGB2GRAY)[..., None]
    tone = grey + rng.uniform(0.6, 1.25) * (tone - grey)
    picture = background + person * (tone - background)
    balance = (1 + rng.uniform(-0.07, 0.07, 3)).astype(np.float32)
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.14)
    direction = u * float(np.cos(angle)) + (v - 0.5) * float(np.sin(angle))
    light = rng.uniform(0.85, 1.1) * (1 + depth * np.tanh(direction))
    return picture * light[..., None] * balance
