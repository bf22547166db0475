"""Crops of a batch of videos -> frozen ResNet18 -> their part of the feature cache (stage `features`).

The model is loaded once per batch. Each distinct source frame that the 30 fps axis needs is read, scaled and embedded
once; a thread reads while the network runs.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

import cv2
import numpy as np
from tqdm import tqdm

from fedn_pipeline import __version__, hdf5, intervals
from fedn_pipeline.faces import alignment, crops, summary
from fedn_pipeline.features import backbone, backends, cache
from fedn_pipeline.files import InputError, rebuild, sha256

BATCHES_AHEAD = 2  # read while the network runs; more cost memory and bring nothing


def ahead(items, size):
    """Yield the items of an iterable while a thread reads up to `size` of them ahead.

    What the iterable raises is raised here, after the items before it. The thread ends with the generator.
    """
    items, end, reader = iter(items), object(), ThreadPoolExecutor(1)
    try:
        waiting = deque(reader.submit(next, items, end) for _ in range(size))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(reader.submit(next, items, end))
            yield item
    finally:
        reader.shutdown(cancel_futures=True)


def pictures(crops_path, needed, side):
    """Yield the crop `[side, side, 3]` uint8 RGB of each frame in which `needed` [n_crops] is True."""
    for image, use in zip(crops.read(crops_path), needed, strict=True):
        if use:
            yield cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def batches(images, size):
    """Yield `[n, side, side, 3]` of up to `size` pictures `[side, side, 3]` at a time."""
    images = iter(images)
    while batch := list(islice(images, size)):
        yield np.stack(batch)


def embed(images, network, batch_size, progress):
    """Iterable of uint8 pictures `[side, side, 3]` -> features `[n, 512]` float32; `network` is of `backends.load`."""
    outputs = []
    for batch in ahead(batches(images, batch_size), BATCHES_AHEAD):
        outputs.append(network(batch))
        progress.update(len(batch))
    return np.concatenate(outputs) if outputs else np.zeros((0, backbone.WIDTH), dtype=np.float32)


def faces_seen(row, alignment_path):
    """`(has_face [n_frames] bool, n_read)`: which source frames of a video show a face; n_read frames have crops.

    A video cut short (n_read below `row.n_frames`) has no face in its rest.
    """
    table = alignment.read(alignment_path)
    if len(table) > row.n_frames:
        raise InputError(f"{alignment_path}: {len(table)} rows, videos.csv says {row.n_frames} frames")
    if not len(table) and not alignment_path.with_suffix(".json").is_file():
        raise InputError(f"{alignment_path}: no rows, and no .json beside it that says why; {rebuild(alignment_path)}")
    if len(table) < row.n_frames:
        print(f"WARNING: {row.video_id}: cut short, {len(table)} of {row.n_frames} frames; the rest has no face")
    has_face = np.zeros(row.n_frames, dtype=bool)
    has_face[: len(table)] = table.status != "missing"
    return has_face, len(table)


def video_features(row, crops_path, alignment_path, network, settings):
    """`(features [n_steps, 512] float16, valid [n_steps] bool)` of one video (`row` of videos.csv) on the 30 fps axis.

    Zeros and `valid` False where no face is; `network` is of `backends.load`, `settings` section `backbone`.
    """
    has_face, n_read = faces_seen(row, alignment_path)
    source = intervals.source_frames(row.n_frames, row.fps)  # [n_steps]
    needed = np.zeros(row.n_frames, dtype=bool)
    needed[source] = True
    needed &= has_face
    wanted = pictures(crops_path, needed[:n_read], settings["input_size"])
    per_frame = np.zeros((row.n_frames, backbone.WIDTH), dtype=np.float32)
    with tqdm(desc=f"features {row.video_id}", total=int(needed.sum()), unit="frame") as progress:
        per_frame[needed] = embed(wanted, network, settings["batch_size"], progress)
    with np.errstate(over="ignore"):  # what half precision cannot hold becomes infinite, which is said below
        halved = per_frame.astype(np.float16)
    if not np.isfinite(halved).all():
        frame = np.argwhere(~np.isfinite(halved))[0][0]
        worst = np.abs(per_frame[frame]).max()
        raise FloatingPointError(
            f"{crops_path}: features are not finite in half precision (frame {frame}: up to {worst:g})"
        )
    return halved[source], has_face[source]


def run(videos, faces_folder, weights, path, settings):
    """Features of all rows of `videos` into one HDF5 file at `path`.

    Crops and alignments are `faces_folder/{crops,alignment}/{video_id}.*`; `settings` is section `backbone`.
    """
    network, backend, precision = backends.load(weights, settings)
    of_all = {
        "frame_stride": 1,
        "weights_sha256": sha256(weights),
        "weights_origin": backbone.origin(weights),
        "input_size": settings["input_size"],
        "mean": settings["mean"],
        "std": settings["std"],
        "backend": backend,
        "precision": precision,
        "version": __version__,
    }
    write(path, videos, faces_folder, of_all, partial(video_features, network=network, settings=settings))


def write(path, videos, faces_folder, of_all, features_of):
    """Each video's `features_of(row, crops_path, alignment_path)` into one HDF5 file, with the attributes `of_all`."""
    with hdf5.whole(path) as file:
        for row in videos.itertuples():
            crops_path = faces_folder / "crops" / f"{row.video_id}{crops.CROPS_SUFFIX}"
            alignment_path = faces_folder / "alignment" / f"{row.video_id}.csv"
            features, valid = features_of(row, crops_path, alignment_path)
            attributes = {
                **of_all,
                "source_sha256": sha256(crops_path),
                **summary.left_out(faces_folder, row.video_id),
            }
            cache.write_group(file, row.video_id, cache.Features(features, valid, attributes))
