"""AffectNet on the user's disk, in either of its layouts -> the table of stills that `pretrain` learns from.

Older: `training.csv` and `validation.csv` with `Manually_Annotated_Images/`; newer: `train_set/` and `val_set/` with
`images/` and `annotations/*.npy` (Mollahosseini et al. 2017; docs/datasets.md). Pictures are put into the
crops' framing by their landmarks, else by the box of the face, else whole.
"""

import hashlib
import os
import tokenize
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from fedn_pipeline.features import framing, stills
from fedn_pipeline.files import InputError

ORIGIN = "AffectNet"
EMOTIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")  # codes 0..7
WITHOUT_EMOTION = {8: "none", 9: "uncertain", 10: "no face"}
COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks", "expression",
    "valence", "arousal",
)  # fmt: skip
REQUIRED = ("subDirectory_filePath", "expression")
IMAGES = "Manually_Annotated_Images"
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
CHUNK_ROWS = 20_000  # of a list at a time: a row holds 1.5 kB of landmarks
N_TRIED = 100  # pictures of a list by which the folder of images is found

# What NumPy raises for an .npy file with a damaged header or damaged texts.
NO_NPY = (ValueError, TypeError, EOFError, OSError, SyntaxError, SystemError, MemoryError, OverflowError)
NO_NPY += (tokenize.TokenError,)

# A copy of the data set has a few damaged files. Up to this share of them, or this many, is left out and named.
MAX_UNUSABLE_SHARE, MAX_UNUSABLE = 0.01, 3


@dataclass
class Row:
    """One labelled picture; similarities to a crop of side 1, or None."""

    path: Path
    label: int
    training: bool
    by_landmarks: np.ndarray | None
    by_box: np.ndarray | None


class _Found:
    """What reading has met: rows to use, `(file, why it cannot be used)` (few: left out), faults (refused), counts."""

    def __init__(self):
        self.rows, self.unusable, self.faults = [], [], []
        self.without_emotion = dict.fromkeys(WITHOUT_EMOTION.values(), 0)

    def labelled(self, code, where):
        """The code of one of EMOTIONS, or None: counted as without emotion, or a fault."""
        if code in range(len(EMOTIONS)):
            return int(code)
        if code in WITHOUT_EMOTION:
            self.without_emotion[WITHOUT_EMOTION[int(code)]] += 1
        else:
            self.faults.append(f"{where}: expression {code} is none of AffectNet's codes 0..10")
        return None


def layouts(folder):
    """Which layouts lie in `folder` or up to two folders below: name -> function that reads it into a _Found."""
    found = {}
    if _lists(folder):
        found["lists of the manual annotations"] = _read_lists
    if _sets(folder):
        found["train_set and val_set"] = _read_sets
    return found


def read(folder, threads):
    """All usable pictures with an emotion, as Stills. Raises InputError with all problems at once."""
    found = layouts(folder)
    if len(found) != 1:
        raise InputError(
            f"{folder}: {'both layouts' if found else 'no layout'} of AffectNet in it; give the folder of one"
        )
    ((layout, reader),) = found.items()
    result = _Found()
    reader(folder, result)
    result.faults += _repeated(result.rows, folder)
    if result.faults:
        stills.refuse(result.faults)
    rows, similarities, counts = _framed(result, threads)
    left_out = [f"{path.relative_to(folder)}: {reason}" for path, reason in sorted(result.unusable)]
    n_listed = len(rows) + len(left_out)
    if len(left_out) > max(MAX_UNUSABLE, MAX_UNUSABLE_SHARE * n_listed):
        stills.refuse([f"{folder}: {len(left_out)} of {n_listed} pictures cannot be used:", *left_out])
    if left_out:
        print(f"WARNING: {len(left_out)} of {n_listed} pictures left out, the first: {left_out[0]}")
    codes = np.array([row.label for row in rows], dtype=int)
    present = sorted(set(codes.tolist()))
    return stills.Stills(
        paths=[row.path for row in rows],
        emotions=[EMOTIONS[code] for code in present],
        labels=np.searchsorted(present, codes),
        training=np.array([row.training for row in rows], dtype=bool),
        similarities=similarities,
        origin=ORIGIN,
        sha256=_digest(rows, similarities, folder),
        notes={
            "layout": layout,
            "framed_by": counts,
            "without_emotion": result.without_emotion,
            "left_out": left_out,
        },
    )


def _repeated(rows, folder):
    """A line for each picture that is listed twice, or for training and validation."""
    first, lines = {}, []
    for row in rows:
        if row.path in first:
            where = "twice" if row.training == first[row.path] else "for training and for validation"
            lines.append(f"{folder}: {row.path.relative_to(folder)}: listed {where}")
        first.setdefault(row.path, row.training)
    return lines


def _framed(result, threads):
    """`(rows, similarities [n, 4], counts)`: each picture is looked at; those that cannot be read become unusable."""
    rows, similarities, counts = [], [], {"landmarks": 0, "face box": 0, "whole picture": 0}
    found = stills.sizes([row.path for row in result.rows], threads)
    for row, size in zip(result.rows, found, strict=True):
        if not size.all():
            what = "not a readable picture" if row.path.is_file() else "no such picture"
            result.unusable.append((row.path, what))
            continue
        candidates = {"landmarks": row.by_landmarks, "face box": row.by_box}
        way = next((way for way, candidate in candidates.items() if framing.fits(candidate, size)), "whole picture")
        counts[way] += 1
        rows.append(row)
        similarities.append(candidates.get(way, np.full(4, np.nan)))
    return rows, np.array(similarities).reshape(-1, 4), counts


def _numbers(texts):
    """Texts as float64; an empty array if one is no number (AffectNet: NULL)."""
    try:
        return np.array(texts, dtype=np.float64)
    except ValueError:
        return np.empty(0)


def _digest(rows, similarities, folder):
    """SHA-256 of the table: which picture, what it shows, in which split, framed how."""
    digest = hashlib.sha256()
    for row, similarity in zip(rows, similarities, strict=True):
        text = (
            f"{row.path.relative_to(folder).as_posix()},{row.label},{row.training},{np.round(similarity, 9).tolist()}\n"
        )
        digest.update(text.encode())
    return digest.hexdigest()


def _folders(folder, depth=2):
    """`folder` and the folders up to `depth` below, but none among the pictures: they are hundreds of thousands."""
    yield folder
    below = [Path(entry) for entry in os.scandir(folder) if entry.is_dir()] if depth else []
    for path in sorted(below):
        if path.name not in ("images", "annotations"):
            yield from _folders(path, 0 if path.name == IMAGES else depth - 1)


def _one_of_each(folder, found):
    """`{True: training, False: validation}` from lists of candidates; empty unless both are there."""
    for paths in found.values():
        if len(paths) > 1:
            raise InputError(f"{folder}: which is meant? {', '.join(map(str, paths))}; leave one of each kind")
    return {training: paths[0] for training, paths in found.items()} if len(found) == 2 else {}


# Older layout


def _lists(folder):
    """`{True: training list, False: validation list}` by their first line; empty unless both are there."""
    found = {}
    for path in sorted(path for below in _folders(folder) for path in below.glob("*.csv")):
        name = path.name.lower()
        if "train" in name or "valid" in name:
            first = _first_line(path).split(",")
            if COLUMNS[0] in first or (len(first) == len(COLUMNS) and Path(first[0]).suffix.lower() in SUFFIXES):
                found.setdefault("train" in name, []).append(path)
    return _one_of_each(folder, found)


def _first_line(path):
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return file.readline().rstrip("\r\n")


def _read_lists(folder, result):
    lists = _lists(folder)
    for training, path in sorted(lists.items(), reverse=True):
        images = _images_folder(folder, path)
        headless = COLUMNS[0] not in _first_line(path)
        layout = {"header": None, "names": COLUMNS} if headless else {}
        try:
            parts = pd.read_csv(
                path, dtype=str, keep_default_na=False, chunksize=CHUNK_ROWS, encoding_errors="replace", **layout
            )
            progress = tqdm(desc=f"reading {path.name}", unit="row")
            for part in parts:
                if not isinstance(part.index, pd.RangeIndex):
                    raise InputError(f"{path}: the rows have more cells than the header names")
                missing = [column for column in REQUIRED if column not in part]
                if missing:
                    raise InputError(f"{path}: columns missing: {', '.join(missing)}")
                for row in part.reindex(columns=COLUMNS, fill_value="").itertuples():
                    _read_row(row, f"{path}: row {row.Index + (1 if headless else 2)}", images, training, result)
                progress.update(len(part))
        except pd.errors.ParserError as error:
            raise InputError(f"{path}: not a table of AffectNet: {error}") from error


def _images_folder(folder, path):
    """The folder below which the pictures of a list lie: the one that has most of its first pictures."""
    layout = {"usecols": [0], "nrows": N_TRIED, "header": None, "keep_default_na": False}
    first = pd.read_csv(path, dtype=str, encoding_errors="replace", **layout)
    names = [name for name in first.iloc[:, 0] if stills.inside(name)]
    candidates = [*(below / IMAGES for below in _folders(folder)), folder, path.parent]
    return max(candidates, key=lambda candidate: sum((candidate / name).is_file() for name in names))


def _read_row(row, where, images, training, result):
    name = row.subDirectory_filePath
    if not stills.inside(name):
        result.faults.append(f"{where}: path `{name!r}` is empty or leaves the folder")
        return
    code = _numbers([row.expression])
    label = result.labelled(code[0] if len(code) else row.expression, where)
    if label is not None:
        box = _numbers([row.face_x, row.face_y, row.face_width, row.face_height])
        by_landmarks = framing.landmark_similarity(_numbers(row.facial_landmarks.split(";")))
        by_box = framing.box_similarity(box) if len(box) else None
        result.rows.append(Row(images / name, label, training, by_landmarks, by_box))


# Newer layout


def _sets(folder):
    """`{True: train_set, False: val_set}` with images and annotations; empty unless both are there."""
    found = {}
    for path in sorted(below / name for below in _folders(folder) for name in ("train_set", "val_set")):
        if (path / "images").is_dir() and (path / "annotations").is_dir():
            found.setdefault(path.name == "train_set", []).append(path)
    return _one_of_each(folder, found)


def _read_sets(folder, result):
    for training, path in sorted(_sets(folder).items(), reverse=True):
        pictures = {}
        for name in sorted(entry.name for entry in os.scandir(path / "images")):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in SUFFIXES:
                if stem in pictures:
                    result.faults.append(f"{path / 'images' / name}: a second picture of {stem}")
                pictures[stem] = path / "images" / name
        known = {entry.name for entry in os.scandir(path / "annotations")}
        stems = {name.removesuffix("_exp.npy") for name in known if name.endswith("_exp.npy")}
        for stem in tqdm(sorted(stems | set(pictures)), desc=f"reading {path.name}", unit="picture"):
            annotation = path / "annotations" / f"{stem}_exp.npy"
            if stem not in stems:
                result.unusable.append((pictures[stem], f"no {annotation.name} in annotations"))
                continue
            code, reason = _read_npy(annotation)
            if reason or code.size != 1:
                result.unusable.append((annotation, reason or f"{code.size} numbers, not one"))
                continue
            label = result.labelled(code[0], annotation)
            if label is None:
                continue
            points = annotation.with_name(f"{stem}_lnd.npy")
            numbers = _read_npy(points)[0] if points.name in known else np.empty(0)
            image = pictures.get(stem, path / "images" / f"{stem}.jpg")
            result.rows.append(Row(image, label, training, framing.landmark_similarity(numbers), None))


def _read_npy(path):
    """`(numbers [n] float64, None)` of an array of texts or numbers, or `(empty, why not)`; no pickled code is run."""
    try:
        with open(path, "rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False).astype(np.float64).ravel(), None
    except NO_NPY as error:
        if "pickle" in str(error).lower() or "object array" in str(error).lower():
            again = "np.save(NEW, np.load(OLD, allow_pickle=True).astype(str))"
            return np.empty(0), f"holds pickled objects, which could run any code; if you trust it: {again}"
        return np.empty(0), f"not an array of numbers ({error})"
