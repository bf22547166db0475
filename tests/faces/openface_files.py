"""Files as OpenFace writes them, of a synthetic face whose rigid points are exactly the mean shape."""

import numpy as np
import pandas as pd

from fedn_pipeline.faces.openface_csv import POINTS
from fedn_pipeline.faces.openface_shape import SHAPE_CSV, STABLE, stand_in

PX_PER_MM = 1.5


def places(n):
    """Where the synthetic face stands, `[n, 2]` px: it moves to the right."""
    return np.stack([100 + 2.0 * np.arange(n), np.full(n, 120.0)], axis=1)


def table(n, at=None, px_per_mm=PX_PER_MM):
    """What OpenFace writes for a face that looks straight ahead; `at [n, 2]` px, `places(n)` by default."""
    points = np.zeros((68, 2))
    points[STABLE] = stand_in()
    at = places(n) if at is None else at
    columns = {
        "frame": np.arange(n) + 1,
        "face_id": 0,
        "timestamp": np.arange(n) / 30,
        "confidence": 0.98,
        "success": 1,
    }
    rows = pd.DataFrame(columns, index=range(n))
    moved = points * px_per_mm + at[:, None]
    coordinates = np.concatenate([moved[:, :, 0], moved[:, :, 1]], axis=1)
    return pd.concat([rows, pd.DataFrame(coordinates, columns=POINTS)], axis=1).assign(p_tx=at[:, 0], p_ty=at[:, 1])


def write_table(path, rows):
    """As OpenFace writes it: comma and blank."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [list(rows.columns), *([f"{value:g}" for value in row] for row in rows.to_numpy())]
    path.write_text("\n".join(", ".join(line) for line in lines) + "\n")
    return path


def write_shape(folder):
    """The mean shape that the face is made of, as a CSV in `folder`."""
    shape = pd.DataFrame(stand_in(), columns=["x_mm", "y_mm"])
    shape.insert(0, "point", STABLE)
    shape.to_csv(folder / SHAPE_CSV, index=False)
