"""OpenFace's mean shape: the 24 rigid points onto which it fits a face.

Part of the aligners `openface` and `openface_output`. The numbers belong to OpenFace and are never shipped: they are
read from the user's own copy (its point distribution model, a text file), wherever that lies. Without one, the
built-in aligner's canonical face stands in, and a warning says what that costs.
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

from fedn_pipeline.faces import geometry, landmarks
from fedn_pipeline.files import InputError

STABLE = np.array([1, 2, 3, 4, 12, 13, 14, 15, 27, 28, 29, *range(31, 37), *range(39, 43), 45, 46, 47])
SHAPE_CSV, MODEL_FILE = "mean_shape_24.csv", "In-the-wild_aligned_PDM_68.txt"
SHAPE_COLUMNS = ["point", "x_mm", "y_mm"]
# Where OpenFace's own build, its installation and its source tree keep the model, seen from the binary's folder.
MODEL_FOLDERS = ("model/pdms", "../etc/OpenFace/model/pdms", "../../lib/local/LandmarkDetector/model/pdms")
INSTALLED = "/usr/local/etc/OpenFace/model/pdms"  # compiled into the binary by its build script
# Calibration, one number: OpenFace's shape is so much smaller than the canonical face (norm of the 24 points).
STAND_IN_SCALE = 0.9614
# Measured on the 288 frames of OpenFace's sample video default.wmv and eight of its own crops of them.
STAND_IN = (
    "OpenFace's mean shape was not found: the built-in aligner's face stands in for it, and crops lie 0.1 px (of 112; "
    "up to 0.5) beside OpenFace's own, a difference of 0.2 to 0.6 grey levels; set openface.mean_shape to its "
    f"{MODEL_FILE}"
)


def find(chosen, beside):
    """Mean shape `[24, 2]` (mm, y down, points STABLE) and a warning (None if it is OpenFace's own).

    `chosen` is the section `openface`; `beside` are folders that are looked into before the binary's. Raises InputError
    for a file that is not what its place says.
    """
    if chosen["mean_shape"]:
        return read(Path(chosen["mean_shape"]).expanduser()), None
    for folder in [*beside, *_model_folders(chosen)]:
        for name in (SHAPE_CSV, MODEL_FILE):
            if (Path(folder) / name).is_file():
                return read(Path(folder) / name), None
    text = _from_container(chosen)
    if text is not None:
        return _parse_model(text, f"{chosen['container']}: {MODEL_FILE}"), None
    return stand_in(), STAND_IN


def read(path):
    """Mean shape `[24, 2]` mm from OpenFace's model file, or from a CSV `point, x_mm, y_mm`. Raises InputError."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as OpenFace's mean shape ({error})") from error
    return _parse_csv(path) if Path(path).suffix.lower() == ".csv" else _parse_model(text, path)


def stand_in():
    """The built-in aligner's canonical face in OpenFace's frame, `[24, 2]` mm."""
    vertices, _ = landmarks.canonical_face()
    points = landmarks.to_ibug(vertices)[STABLE, :2]
    crop = points * geometry.CROP_PX_PER_CM + [0, geometry.ORIGIN_HEIGHT - 0.5]  # crop sides from the middle
    return crop * (STAND_IN_SCALE * geometry.OPENFACE_SIZE / geometry.OPENFACE_SCALE)


def _parse_csv(path):
    try:
        table = pd.read_csv(path, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: cannot be read as OpenFace's mean shape ({error})") from error
    absent = [name for name in SHAPE_COLUMNS if name not in table]
    if absent:
        raise InputError(f"{path}: row 1: columns of the mean shape are absent: {', '.join(absent)}")
    numbers = table[SHAPE_COLUMNS].apply(pd.to_numeric, errors="coerce")
    bad = ~np.isfinite(numbers).all(axis=1) | numbers["point"].duplicated()
    if bad.any():
        raise InputError(f"{path}: row {int(np.argmax(bad)) + 2}: each point must stand there once, with numbers")
    points = numbers.set_index("point")
    absent = [str(point) for point in STABLE if point not in points.index]
    if absent:
        raise InputError(f"{path}: points of the mean shape are absent: {', '.join(absent)}")
    return points.loc[STABLE].to_numpy(dtype=np.float64)


def _parse_model(text, name):
    """The first matrix of a model file: `rows columns type`, then all x, all y, all z; `#` opens a comment."""
    words = " ".join(line for line in text.splitlines() if not line.lstrip().startswith("#")).split()
    n_values = 3 * landmarks.N_IBUG
    try:
        if [int(word) for word in words[:2]] != [n_values, 1]:
            raise ValueError
        values = np.array(words[3 : 3 + n_values], dtype=np.float64).reshape(3, landmarks.N_IBUG)
        if not (np.isfinite(values).all() and np.ptp(values[:2], axis=1).all()):
            raise ValueError
    except ValueError as error:
        raise InputError(f"{name}: not OpenFace's point distribution model of {landmarks.N_IBUG} points") from error
    return values[:2].T[STABLE]


def _model_folders(chosen):
    binary = None if chosen["container"] else shutil.which(os.path.expanduser(chosen["binary"]))
    bases = [Path(binary).resolve().parent] if binary else []
    return [base / folder for base in bases for folder in MODEL_FOLDERS] + [Path(INSTALLED)]


def _from_container(chosen):
    """Text of the model file inside the container image, or None."""
    if not (chosen["container"] and shutil.which("apptainer")):
        return None
    places = " ".join(f'"$base/{folder}/{MODEL_FILE}"' for folder in MODEL_FOLDERS) + f" {INSTALLED}/{MODEL_FILE}"
    script = (
        f'base=$(dirname "$(readlink -f "$(command -v "$1")")"); for file in {places}; '
        'do [ -f "$file" ] && exec cat "$file"; done; exit 1'
    )
    command = ["apptainer", "exec", os.path.expanduser(chosen["container"]), "sh", "-c", script, "sh", chosen["binary"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None
