"""`predictions.h5`: what a fold's network said of each window, before any decoding across windows (stage `folds`).

Written by the fold, read by stage `detections`. No torch.
"""

from dataclasses import dataclass

import h5py
import numpy as np

from fedn_pipeline import hdf5
from fedn_pipeline.files import InputError, checked

# Name -> type (NumPy's letter) and number of axes.
DATASETS = {"starts": ("i", {1}), "intervals": ("f", {3}), "logits": ("f", {3}), "valid": ("b", {1})}


@dataclass
class RawPredictions:
    """One video: starts [W] int64 (30 fps frames), intervals [W, P, 2] float32 (frames from the window's start),
    logits [W, P, C] float32 (see model/outputs.py), valid [n_steps] bool, fps and n_frames of the source."""

    starts: np.ndarray
    intervals: np.ndarray
    logits: np.ndarray
    valid: np.ndarray
    fps: float
    n_frames: int


def write(path, roles, names):
    """Write `{role: {video_id: RawPredictions}}` (roles `test` and `held_out`) and the names of the logits."""
    with hdf5.whole(path) as file:
        file.attrs["classes"] = list(names)
        for role, videos in roles.items():
            for video, raw in videos.items():
                group = file.create_group(f"{role}/{video}")
                for name in DATASETS:
                    group.create_dataset(name, data=getattr(raw, name), chunks=True, fletcher32=True)
                group.attrs["fps"], group.attrs["n_frames"] = raw.fps, raw.n_frames


def read(path):
    """Inverse of `write`: `(roles, names)`. Raises InputError naming a damaged file."""
    try:
        with h5py.File(checked(path)) as file:
            for role in file.values():
                for group in role.values():
                    hdf5.require_numbers(path, group)
            roles = {
                role: {
                    video: RawPredictions(
                        **{name: hdf5.array(group, name, *what) for name, what in DATASETS.items()},
                        fps=float(group.attrs["fps"]),
                        n_frames=int(group.attrs["n_frames"]),
                    )
                    for video, group in file[role].items()
                }
                for role in file
            }
            return roles, [str(name) for name in file.attrs["classes"]]
    except hdf5.DAMAGED as error:
        raise InputError(f"{path}: damaged or no HDF5 file ({error}); delete it and run again") from error
