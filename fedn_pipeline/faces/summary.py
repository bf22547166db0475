"""What a user should know about one video after the faces stage: `alignment/{video}.json`, beside its table.

A video that cannot be decoded at all is *left out* instead of stopping those of the others: its table has no rows, its
crops file is empty, and `left_out` says why. Features carry that on (attribute `left_out`), folds do not learn from the
video, and the results table names it; its expressions count as missed.
"""

from pathlib import Path

import numpy as np

from fedn_pipeline import files
from fedn_pipeline.faces import alignment
from fedn_pipeline.faces.landmarks import N_IBUG


def _path(alignment_path):
    return Path(alignment_path).with_suffix(".json")


def write(alignment_path, summary):
    """Keep what `align.process` found (see there) beside the alignment table."""
    files.write_json(_path(alignment_path), {"left_out": None, **summary})


def leave_out(alignment_path, crops_path, reason):
    """Write the three files of a video that is left out, `reason` in words; returns its summary."""
    none = np.zeros(0)
    empty = alignment.table(np.zeros((0, N_IBUG, 2)), np.zeros((0, 4)), none.astype(str), none.astype(bool))
    alignment.write(alignment_path, empty)
    with files.whole(crops_path) as partial:
        partial.touch()
    told = {"left_out": " ".join(reason.split()).replace(";", ","), "n_frames": 0, "warnings": ["left out: " + reason]}
    files.write_json(_path(alignment_path), told)
    return told


def left_out(faces_folder, video):
    """`{"left_out": why}` of a video that was left out, an attribute of its features; of any other, nothing."""
    path = Path(faces_folder) / "alignment" / f"{video}.json"
    reason = files.read_json(path)["left_out"] if path.is_file() else None
    return {"left_out": reason} if reason else {}
