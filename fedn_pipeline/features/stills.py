"""Labelled pictures of single faces, from which `pretrain` learns: the table of them, and reading one.

`stills.csv` (`path, emotion, identity, photograph, split`) beside its pictures is read here: they are in the crops'
framing already. AffectNet's layouts are read by `affectnet` into the same table.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fedn_pipeline.dataset.tables import Sheet
from fedn_pipeline.faces import crops
from fedn_pipeline.files import InputError, checked, sha256

COLUMNS = ["path", "emotion", "identity", "photograph", "split"]
TABLE = "stills.csv"
DEMO_ORIGIN = "demo stills"
MAX_LINES = 20  # problems listed in one message; the rest is counted
REDUCTION = 8  # pictures are looked through at an eighth of their size: JPEG decodes several times faster so
CHUNK = 64  # pictures a thread looks through at once


@dataclass
class Stills:
    """Usable pictures; all arrays are in the order of `paths`.

    labels [n] int into `emotions`; training [n] bool, False: validation; similarities [n, 4] float64 to a crop of side
    1, NaN: the whole picture is the crop; origin: what weights trained on them are called; sha256: of the table; notes:
    counts for the log.
    """

    paths: list[Path]
    emotions: list[str]
    labels: np.ndarray
    training: np.ndarray
    similarities: np.ndarray
    origin: str
    sha256: str
    notes: dict = field(default_factory=dict)


def refuse(lines):
    """Raise one InputError with all problems, a line each."""
    more = [f"... and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else []
    raise InputError("\n".join([*lines[:MAX_LINES], *more]))


def inside(name):
    """Whether a path of a table stays in its folder."""
    path = Path(name)
    return bool(name) and name.isprintable() and not path.is_absolute() and ".." not in path.parts


def read_table(folder, exclude=None):
    """stills.csv, those of photograph `exclude` left out; the index is the line of the file. Raises InputError."""
    path = folder / TABLE
    if not path.is_file():
        raise InputError(f"{path}: no such file; the `dataset` stage renders the demo's stills")
    sheet = Sheet(checked(path), COLUMNS, COLUMNS, further_columns=True)
    outside = [not inside(name) for name in sheet.table["path"]]
    sheet.flag(outside, lambda row: f"path `{row['path']!r}` is empty or leaves the folder")
    sheet.flag(sheet.table["emotion"] == "", lambda row: "no emotion")
    sheet.trimmed("emotion")
    wrong = ~sheet.table["split"].isin(["train", "validation"])
    sheet.flag(wrong, lambda row: f"split `{row['split']}` is neither train nor validation")
    table = sheet.finished().set_index(sheet.lines)
    if not len(table):
        raise InputError(f"{path}: no stills below the header")
    if exclude is not None:
        if exclude not in set(table.photograph):
            raise InputError(f"{path}: no photograph `{exclude}` to leave out")
        table = table[table.photograph != exclude]
    shared = set(table.identity[table.split == "train"]) & set(table.identity[table.split == "validation"])
    if shared:
        raise InputError(f"{path}: identities in both splits: {sorted(shared)[:3]}")
    return table


def read(folder, exclude, threads):
    """Stills of `stills.csv`, every picture looked at. Raises InputError with all problems at once."""
    table = read_table(folder, exclude)
    paths = [folder / name for name in table.path]
    unreadable = np.flatnonzero((sizes(paths, threads) == 0).any(axis=1))
    if len(unreadable):
        refuse([f"{folder / TABLE}: row {table.index[i]}: {paths[i]} is not a readable picture" for i in unreadable])
    emotions = sorted(table.emotion.unique())
    return Stills(
        paths=paths,
        emotions=emotions,
        labels=np.array([emotions.index(emotion) for emotion in table.emotion]),
        training=(table.split == "train").to_numpy(),
        similarities=np.full((len(table), 4), np.nan),
        origin=DEMO_ORIGIN,
        sha256=sha256(folder / TABLE),
        notes={"excluded_photograph": exclude},
    )


def _decode(path, flags):
    """A picture as OpenCV gives it, or None if the file is absent or cannot be decoded."""
    try:
        return cv2.imread(str(path), flags) if path.is_file() else None
    except cv2.error:  # a header that announces an enormous picture
        return None


def sizes(paths, threads):
    """Height and width `[n, 2]` px of each picture, to about REDUCTION px; 0 where there is no readable picture."""

    def look(chunk):
        found = (_decode(path, cv2.IMREAD_REDUCED_GRAYSCALE_8) for path in chunk)
        return [(0, 0) if picture is None else picture.shape for picture in found]

    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    with (
        ThreadPoolExecutor(max(1, threads)) as pool,
        tqdm(total=len(paths), desc="checking pictures", unit="picture") as progress,
    ):
        result = []
        for part in pool.map(look, chunks):
            result += part
            progress.update(len(part))
    return REDUCTION * np.array(result, dtype=int).reshape(-1, 2)


def picture(path, similarity, size):
    """One picture in the crops' framing, `[size, size, 3]` uint8 RGB; `similarity` as in Stills."""
    found = _decode(path, cv2.IMREAD_COLOR)
    if found is None:
        raise InputError(f"{path}: not a readable picture any more; it was when the training began")
    if np.isfinite(similarity).all():
        # A face larger than the crop is cut at a multiple of its size: scaling by area then keeps it free of moiré.
        enlarged = size * max(1, int(np.ceil(1 / (np.hypot(*similarity[:2]) * size))))
        found = crops.warp(found, similarity * enlarged, enlarged)
    return cv2.resize(found, (size, size), interpolation=cv2.INTER_AREA)[..., ::-1]
