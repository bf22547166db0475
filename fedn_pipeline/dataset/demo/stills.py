"""Labelled stills for the pretrain rule: single face crops of people who appear in no demo video.

Beside the videos in the flow; read by the pretraining of the backbone. Each still is one frame of the same renderer,
cut by the same similarity as the faces stage cuts, with the aligner's errors added.
"""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from fedn_pipeline.faces.geometry import mesh_similarity
from fedn_pipeline.files import InputError, whole, write_csv

from .action_units import UNITS, relief
from .animation import add_unit
from .planning import EMOTIONS, PHOTOGRAPHS, RECIPES
from .portraits import make_portrait, to_px
from .rendering import Renderer, head_matrix

CROP_PX = 224
NEUTRAL = "neutral"
_STILL_STREAM = 5  # no demo subject draws from this stream
_LABELS = (NEUTRAL, *EMOTIONS, NEUTRAL)  # a third is neutral: it is the most varied class
_WEAKEST = 0.2  # share of a full expression; weaker ones are not told from neutral


def still_plan(settings):
    """The table `path, emotion, identity, photograph, split` of all stills; nothing is rendered."""
    identities = settings["still_identities_per_photograph"]
    validation = settings["still_validation_identities"]
    if validation >= identities:
        raise InputError(
            f"demo: still_validation_identities {validation} leaves no identity for training: "
            f"it must be below still_identities_per_photograph {identities}"
        )
    rows = []
    for photograph in PHOTOGRAPHS:
        for i in range(settings["stills_per_photograph"]):
            person, n = i % identities, i // identities
            identity = f"{photograph}{person:03d}"
            emotion = _LABELS[(n + person) % len(_LABELS)]
            split = "validation" if person >= identities - validation else "train"
            rows.append((f"{identity}/{n:04d}_{emotion}.jpg", emotion, identity, photograph, split))
    table = pd.DataFrame(rows, columns=["path", "emotion", "identity", "photograph", "split"])
    return table.sort_values("path", ignore_index=True)


def render_stills(settings, folder):
    """Write all stills as 224x224 JPEG below `folder`, one folder per identity, and `stills.csv` last."""
    folder, table = Path(folder), still_plan(settings)
    with tqdm(total=len(table), desc="stills", unit="still") as progress:
        for identity, rows in table.groupby("identity"):
            photograph = rows["photograph"].iloc[0]
            person = int(identity.removeprefix(photograph))
            rng = np.random.default_rng([settings["seed"], _STILL_STREAM, PHOTOGRAPHS.index(photograph), person])
            renderer = Renderer(settings, make_portrait(settings, photograph, rng))
            for path, emotion in zip(rows["path"], rows["emotion"], strict=True):
                _write_jpeg(folder / path, _still(renderer, emotion, rng), settings["still_quality"])
                progress.update()
    write_csv(folder / "stills.csv", table)


def _still(renderer, emotion, rng):
    """One crop `[224, 224, 3] uint8` BGR of a labelled expression, or of a face that may blink, talk or look away."""
    units = {unit: rng.normal(0, 0.03) for unit in UNITS}
    if emotion == NEUTRAL:
        _disturb(units, rng)
    else:
        strength, asymmetry = rng.uniform(_WEAKEST, 1), float(np.clip(rng.normal(0, 0.12), -0.35, 0.35))
        for unit, bounds in RECIPES[emotion].items():
            add_unit(units, unit, strength * rng.uniform(*bounds), asymmetry)
    if rng.random() < 0.2:  # blinks and glances come during expressions too
        units["45"] += rng.uniform(0.2, 1)
    if rng.random() < 0.2:
        units["gaze_x"] += rng.uniform(-1.1, 1.1)
    units["yaw"] += rng.normal(0, 0.06)
    units["pitch"] += rng.normal(0, 0.04)
    pose = rng.normal(0, (0.06, 0.06, 0.05, 0.03))
    light = rng.normal((1, 0, 0), 0.08)
    picture = cv2.cvtColor(renderer.frame(units, pose, light, rng), cv2.COLOR_YUV2BGR_I420)
    portrait = renderer.portrait
    turned = portrait.points + relief(portrait.points, portrait.points)[:, None] * [units["yaw"], units["pitch"]]
    mesh = cv2.transform(to_px(turned, portrait)[None], head_matrix(portrait, units, pose))[0]
    a, b, tx, ty = mesh_similarity(mesh, CROP_PX)
    crop = np.array([[a, -b, tx], [b, a, ty]])
    return cv2.warpAffine(picture, _jitter(rng) @ np.vstack([crop, [0, 0, 1]]), (CROP_PX, CROP_PX))


def _disturb(units, rng):
    """Add what a neutral face does: talk, blink, raise a brow while talking, look away, or nothing."""
    if rng.random() < 0.4:
        opening, rounding, spreading = rng.uniform(0, 1, 3) * rng.uniform(0, 1)
        units["26"] += 0.6 * opening
        units["25"] += 0.7 * opening
        units["18"] += 0.8 * rounding
        add_unit(units, "20", 0.7 * spreading, 0.0)
        if rng.random() < 0.3:
            brow = rng.uniform(0.1, 0.5)
            add_unit(units, "1", brow, 0.0)
            add_unit(units, "2", brow, 0.0)
    if rng.random() < 0.3:
        units["45"] += rng.uniform(0.2, 1)
    if rng.random() < 0.3:
        units["gaze_x"] += rng.uniform(-1.1, 1.1)
        units["gaze_y"] += rng.uniform(-0.6, 0.6)


def _jitter(rng):
    """The aligner's error `[2, 3]`: a small rotation, scale and shift about the crop's middle."""
    rotation, scale = rng.normal(0, 1.5), 1 + rng.normal(0, 0.02)
    matrix = cv2.getRotationMatrix2D((CROP_PX / 2, CROP_PX / 2), rotation, scale)
    matrix[:, 2] += rng.normal(0, 2.0, 2)
    return matrix


def _write_jpeg(path, picture, quality):
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    with whole(path, checksum=False) as partial:  # thousands; stills.csv, written last, says that all are there
        partial.write_bytes(encoded.tobytes())
