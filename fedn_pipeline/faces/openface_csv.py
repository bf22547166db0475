"""The csv that OpenFace writes (FeatureExtraction, FaceLandmarkVidMulti), read with distrust.

First part of the aligners `openface` and `openface_output`. A header with or without blanks; every row whole and
numeric, or refused with its number as a person sees it (the header is row 1). Units and names are OpenFace's: `frame`
counts from 1, landmarks are px of the source, `p_tx, p_ty` px (-pdmparams), `pose_T*` mm.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedn_pipeline.faces.landmarks import N_IBUG
from fedn_pipeline.files import InputError

BASICS = ["frame", "success", "confidence"]
POINTS = [f"x_{i}" for i in range(N_IBUG)] + [f"y_{i}" for i in range(N_IBUG)]
ORIGIN = ["p_tx", "p_ty"]
POSITION = ["pose_Tx", "pose_Ty", "pose_Tz"]
FACE_ID = "face_id"  # not written by OpenFace 1 and older
MAX_LINES = 20  # problems listed in one message; the rest is counted


@dataclass
class Rows:
    """Rows in the file's order, `[n_rows]` each: frame `number` (from 1), `face_id`, `success`, `confidence`, `line`.

    `points [n_rows, 68, 2]` px, `origin [n_rows, 2]` px and `position [n_rows, 3]` mm; None where the csv has no such
    columns. Where success is False their values mean nothing.
    """

    number: np.ndarray
    face_id: np.ndarray
    success: np.ndarray
    confidence: np.ndarray
    line: np.ndarray
    points: np.ndarray | None
    origin: np.ndarray | None
    position: np.ndarray | None

    def only(self, mask):
        """The rows in `mask [n_rows]` bool."""
        parts = {name: None if value is None else value[mask] for name, value in vars(self).items()}
        return Rows(**parts)


def read(path, name=None):
    """Rows of the csv at `path`, called `name` in messages. Raises InputError with every bad row at once."""
    name = name or path
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read as OpenFace's csv ({error})") from error
    header = [cell.strip() for cell in lines[0].split(",")] if lines else []
    absent = [column for column in BASICS if column not in header]
    if absent:
        raise InputError(f"{name}: row 1: not OpenFace's csv, columns are absent: {', '.join(absent)}")
    wanted = [c for c in [*BASICS, FACE_ID, *POINTS, *ORIGIN, *POSITION] if c in header]
    places, problems = [header.index(column) for column in wanted], []
    values, numbers = [], []
    for line, text in enumerate(lines[1:], start=2):
        cells = text.split(",")
        if not text.strip():
            continue
        if len(cells) != len(header):
            rule = f"{len(cells)} cells, but the header has {len(header)}: the file was cut short or is damaged"
            problems.append((line, rule))
            continue
        row, bad = _numbers([cells[place] for place in places])
        if bad is not None:
            problems.append((line, f"{wanted[bad]} is no number: {cells[places[bad]].strip()[:40]!r}"))
        else:
            values.append(row)
            numbers.append(line)
    if not values and not problems:
        raise InputError(f"{name}: OpenFace's csv holds no row")
    values = np.array(values, dtype=np.float64).reshape(-1, len(wanted))
    rows = _rows(dict(zip(wanted, values.T, strict=True)), np.array(numbers, dtype=int), len(values))
    problems += _faults(rows, wanted, values)
    if problems:
        raise InputError(_message(name, problems))
    return rows


def _numbers(cells):
    """The cells as floats, or the position of the first that is no number. What is not a number is NaN (Windows)."""
    row = []
    for position, cell in enumerate(cells):
        try:
            if "_" in cell or not cell.isascii():  # numbers for Python alone: 1_000, Arabic digits
                return row, position
            row.append(float(cell))
        except ValueError:
            if cell.strip().lower().lstrip("-").partition("(")[0] not in ("nan", "1.#ind", "1.#qnan"):
                return row, position
            row.append(np.nan)
    return row, None


def _rows(columns, line, n_rows):
    def block(names):
        return np.stack([columns[name] for name in names], axis=-1) if all(n in columns for n in names) else None

    points = block(POINTS)
    if points is not None:
        points = points.reshape(n_rows, 2, N_IBUG).transpose(0, 2, 1)
    face_id = columns.get(FACE_ID, np.zeros(n_rows))
    return Rows(
        columns["frame"],
        face_id,
        columns["success"] == 1,
        columns["confidence"],
        line,
        points,
        block(ORIGIN),
        block(POSITION),
    )


def _faults(rows, wanted, values):
    """`(row of the file, rule)` of everything that is wrong in numeric rows."""
    faults = []
    place = {column: i for i, column in enumerate(wanted)}
    whole = np.isfinite(rows.number) & (rows.number >= 1) & (rows.number == np.floor(rows.number))
    known = np.isin(values[:, place["success"]], [0, 1])
    sure = np.isfinite(rows.confidence) & np.isfinite(rows.face_id)
    for good, rule in [
        (whole, "frame must be a whole number from 1"),
        (known, "success must be 0 or 1"),
        (sure, "confidence and face_id must be finite numbers"),
    ]:
        faults += [(line, rule) for line in rows.line[~good]]
    seen = {}
    for number, face_id, line in zip(rows.number, rows.face_id, rows.line, strict=True):
        first = seen.setdefault((number, face_id), line)
        if first != line:
            faults.append((line, f"frame {number:g} stands already in row {first}"))
    if rows.points is None and rows.success.any():
        faults.append((1, "the 68 landmarks x_0 ... y_67 are absent: run OpenFace with -2Dfp -pdmparams"))
    needed = [column for column in wanted if column in POINTS + ORIGIN]
    finite = np.isfinite(values[:, [place[column] for column in needed]])
    for row in np.flatnonzero(rows.success & ~finite.all(axis=1)):
        faults.append((rows.line[row], f"a tracked face, but {needed[int(np.argmin(finite[row]))]} is not finite"))
    if rows.points is not None:
        for line in rows.line[rows.success & (np.ptp(rows.points, axis=1).max(axis=1) == 0)]:
            faults.append((line, "a tracked face, but its landmarks are all one point"))
    return faults


def _message(name, problems):
    lines = [f"{name}: row {line}: {rule}" for line, rule in sorted(problems)[:MAX_LINES]]
    if len(problems) > MAX_LINES:
        lines.append(f"{name}: and {len(problems) - MAX_LINES} more problems")
    return "\n".join(lines)
