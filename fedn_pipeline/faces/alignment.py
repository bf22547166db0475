"""The alignment table: one row per frame of the source, the same columns from every aligner.

Written by the faces stage, read by crops, features, detections and the report. Columns: `frame` (0-based), `success`
(1 where a face was found), `confidence` (OpenFace's own; the built-in aligner has none: 1.0 where found, else 0),
`status` (tracked, bridged: interpolated over a short gap, or missing: no face, no crop), `damaged` (1: the source's
picture is a repeat of the last good one), `x_0..x_67, y_0..y_67` (iBUG points, px), `a, b, tx, ty` (similarity to the
crop, see geometry.py). Points and similarity are empty in missing
frames. A table without rows is that of a video left out (summary.py).
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from fedn_pipeline import files
from fedn_pipeline.faces.gaps import BRIDGED, MISSING, TRACKED
from fedn_pipeline.faces.landmarks import N_IBUG

POINT_COLUMNS = [f"x_{i}" for i in range(N_IBUG)] + [f"y_{i}" for i in range(N_IBUG)]
SIMILARITY_COLUMNS = ["a", "b", "tx", "ty"]
COLUMNS = ["frame", "success", "confidence", "status", "damaged", *POINT_COLUMNS, *SIMILARITY_COLUMNS]


@dataclass
class Found:
    """What an aligner gives for each frame, before gaps are bridged.

    `points [n_frames, 68, 2]` px and `similarities [n_frames, 4]` float64 (NaN: no face), `confidence [n_frames]`,
    `n_several` frames with more than one face, and sentences for the user.
    """

    points: np.ndarray
    similarities: np.ndarray
    confidence: np.ndarray
    n_several: int = 0
    warnings: list[str] = field(default_factory=list)


def table(points, similarities, status, damaged, confidence=None):
    """The table from `points [n_frames, 68, 2]`, `similarities [n_frames, 4]`, and `[n_frames]` each of the others.

    Without `confidence` it is 1 where a face was found, else 0.
    """
    found = (status == TRACKED).astype(int)
    columns = {
        "frame": np.arange(len(status)),
        "success": found,
        "confidence": found.astype(float) if confidence is None else confidence,
        "status": status,
        "damaged": damaged.astype(int),
    }
    columns |= {f"x_{i}": points[:, i, 0].round(2) for i in range(N_IBUG)}
    columns |= {f"y_{i}": points[:, i, 1].round(2) for i in range(N_IBUG)}
    columns |= {name: similarities[:, i] for i, name in enumerate(SIMILARITY_COLUMNS)}
    return pd.DataFrame(columns)


def write(path, alignment):
    """Write an alignment table; six digits hold a crop's place to 0.01 px."""
    files.write_csv(path, alignment[COLUMNS])


def read(path):
    """Read and check an alignment table. Raises InputError with file and rule."""
    try:
        alignment = pd.read_csv(files.checked(path))
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise files.InputError(f"{path}: cannot be read as an alignment table ({error})") from error
    absent = [name for name in COLUMNS if name not in alignment.columns]
    if absent:
        raise files.InputError(f"{path}: alignment columns are absent: {', '.join(absent)}")
    numbers = alignment[["frame", "success", "confidence", "damaged", *POINT_COLUMNS, *SIMILARITY_COLUMNS]]
    words = [name for name in numbers if len(numbers) and not pd.api.types.is_numeric_dtype(numbers[name])]
    if words:
        raise files.InputError(f"{path}: alignment column {words[0]} must hold numbers")
    if not (alignment["frame"] == np.arange(len(alignment))).all():
        row = int(np.argmax(alignment["frame"].to_numpy() != np.arange(len(alignment))))
        raise files.InputError(f"{path}: row {row}: frames must be 0, 1, 2, ... without a gap")
    unknown = ~alignment["status"].isin([TRACKED, BRIDGED, MISSING])
    if unknown.any():
        raise files.InputError(f"{path}: row {int(np.argmax(unknown))}: unknown status")
    empty = (alignment["status"] != MISSING) & alignment[SIMILARITY_COLUMNS].isna().any(axis=1)
    if empty.any():
        raise files.InputError(f"{path}: row {int(np.argmax(empty))}: a frame with a face needs a, b, tx, ty")
    return alignment


def similarities(alignment):
    """`[n_frames, 4]` float64 of `a, b, tx, ty`, NaN in missing frames."""
    return alignment[SIMILARITY_COLUMNS].to_numpy(dtype=np.float64)


def points(alignment):
    """iBUG points `[n_frames, 68, 2]` float64 px, NaN in missing frames."""
    flat = alignment[POINT_COLUMNS].to_numpy(dtype=np.float64)
    return np.stack([flat[:, :N_IBUG], flat[:, N_IBUG:]], axis=-1)
