"""The feature cache: one HDF5 file per data set and backbone, one group per video (docs/architecture.md).

Group: `features [n_rows, D] float16` and `valid [n_rows] bool` (False: no face there), a row every `frame_stride` steps
of the 30 fps axis (1; 2 for clips), attributes `frame_stride`, `source_sha256`, `weights_sha256`, `weights_origin`,
`input_size`, `backend`, `precision`, `version` and those of the network; `left_out` says why a video could not be
processed (its rows are zeros, none valid). Every dataset carries a fletcher32 checksum.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import h5py
import numpy as np

from fedn_pipeline import hdf5
from fedn_pipeline.files import InputError, checked, rebuild

# Alike in all groups of a merged file, and kept at its root.
OF_THE_WHOLE = ("weights_sha256", "weights_origin", "backend", "precision", "version")
UNKNOWN = "unknown"  # attributes that older parts lack
CHUNK_STEPS = 64  # a window reads 134 steps: three chunks


@dataclass
class Features:
    """features [n_rows, D] float16; valid [n_rows] bool; attributes: provenance of both."""

    features: np.ndarray
    valid: np.ndarray
    attributes: dict


def write_group(file, video, entry):
    """Add one video to an open HDF5 file."""
    group = file.create_group(video)
    for name, array in (("features", entry.features), ("valid", entry.valid)):
        chunks = (min(CHUNK_STEPS, len(array)), *array.shape[1:])
        group.create_dataset(name, data=array, chunks=chunks, fletcher32=True)
    for key, value in entry.attributes.items():
        group.attrs[key] = value


def read(path, video):
    """One video's Features. Raises InputError naming file and video if it is absent, its checksum fails, or a value is
    NaN or infinite."""
    with _group(path, video) as group:
        features, valid = hdf5.array(group, "features", "fiu", {2, 3, 4}), hdf5.array(group, "valid", "b", {1})
        if len(features) != len(valid):
            raise ValueError(f"{len(features)} rows of features, {len(valid)} of valid")
        entry = Features(features, valid, dict(group.attrs))
    finite = np.isfinite(entry.features)
    if not finite.all():
        row, *place = np.argwhere(~finite)[0]
        raise InputError(
            f"{path}: video {video}: not finite: {entry.features[row, *place]} at step "
            f"{row * int(entry.attributes['frame_stride'])} of the 30 fps axis; {rebuild(path)}"
        )
    return entry


def read_valid(path, video):
    """Only `valid` of one video's Features, by frame of the 30 fps axis `[n_steps]`; errors as in `read`."""
    with _group(path, video) as group:
        return np.repeat(hdf5.array(group, "valid", "b", {1}), group.attrs["frame_stride"])


def shape(path, video):
    """`(n_rows, D)` of one video's features; errors as in `read`."""
    with _group(path, video) as group:
        return group["features"].shape


@contextmanager
def _group(path, video):
    with _open(path) as file:
        try:
            if video not in file:
                raise InputError(f"{path}: no features of video {video}; rebuild the file with the `features` rule")
            hdf5.require_numbers(path, file[video])
            yield file[video]
        except hdf5.DAMAGED as error:
            raise InputError(f"{path}: video {video}: damaged ({error}); delete the file and run again") from error


def _open(path):
    try:
        return h5py.File(checked(path))
    except hdf5.DAMAGED as error:
        raise InputError(f"{path}: cannot be read as HDF5 ({error}); the `features` rule makes it") from error


def gap(path):
    """Steps between the two pictures of a cache of flow or of regions; errors as in `read`."""
    with _open(path) as file:
        gaps = {int(group.attrs.get("gap", 0)) for group in file.values()}
        if len(gaps) != 1 or 0 in gaps:
            raise InputError(f"{path}: no cache of motion over one gap; {rebuild(path)}")
        return gaps.pop()


def videos(path):
    """Ids of the videos of a cache, sorted; errors as in `read`."""
    with _open(path) as file:
        return sorted(file)


def left_out(path, ids):
    """`{video: why}` of those of the videos `ids` that could not be processed; errors as in `read`."""
    with _open(path) as file:
        return {video: str(file[video].attrs["left_out"]) for video in ids if "left_out" in file.get(video, file).attrs}


def provenance(path):
    """Attributes that hold for a whole merged file, as texts: `backbone` and OF_THE_WHOLE."""
    with _open(path) as file:
        try:
            return {key: str(value) for key, value in file.attrs.items()}
        except hdf5.DAMAGED as error:
            raise InputError(f"{path}: its attributes are damaged ({error}); delete the file and run again") from error


def merge(parts, path):
    """One file out of the batches' files, videos in sorted order; refuses mixed weights, backends or precisions.

    The file's name is the backbone's, kept in its attributes.
    """
    with hdf5.whole(path) as merged:
        sources = {}
        for part in parts:
            with _open(part) as file:
                twice = sorted(set(file) & set(sources))
                if twice:
                    raise InputError(f"{part}: videos that another part holds too: {twice[:3]}")
                sources.update({video: part for video in file})
        for video in sorted(sources):
            with _open(sources[video]) as file:
                file.copy(video, merged)
        finish(merged, path)


def finish(file, path):
    """Keep at the root of an open file what is alike in all its groups; refuses mixtures. `path` names the backbone."""
    file.attrs["backbone"] = path.stem
    for key in OF_THE_WHOLE:
        values = sorted({str(group.attrs.get(key, UNKNOWN)) for group in file.values()})
        if len(values) > 1:
            fixed = f"; backbone.{key} can fix it" if key in ("backend", "precision") else ""
            raise InputError(f"{path}: parts differ in {key}: {values}{fixed}; delete the parts and run again")
        file.attrs[key] = values[0]
