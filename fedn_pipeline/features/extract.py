"""Crops of a batch of videos -> frozen ResNet18 -> their part of the feature cache (stage `features`).

The model is loaded once per batch. Each distinct source frame that the 30 fps axis needs is embedded once.
"""

import cv2
import h5py
import numpy as np
import torch
from tqdm import tqdm

from fedn_pipeline import __version__, compute, intervals
from fedn_pipeline.faces import alignment, crops
from fedn_pipeline.features import backbone, cache
from fedn_pipeline.files import InputError, sha256, whole


def embed(images, network, settings, precision, device):
    """Iterator of uint8 pictures `[side, side, 3]` -> features `[n, 512]` float32; `settings` is section `backbone`."""
    outputs, batch = [], []

    def flush():
        with torch.inference_mode(), compute.autocast(precision, device):
            normalised = backbone.normalise(np.stack(batch), settings["mean"], settings["std"])
            outputs.append(network(normalised.to(device)).float().cpu().numpy())
        batch.clear()

    for image in images:
        batch.append(image)
        if len(batch) == settings["batch_size"]:
            flush()
    if batch:
        flush()
    return np.concatenate(outputs) if outputs else np.zeros((0, backbone.WIDTH), dtype=np.float32)


def faces_seen(row, alignment_path):
    """`(has_face [n_frames] bool, n_read)`: which source frames of a video show a face; n_read frames have crops.

    A video cut short (n_read below `row.n_frames`) has no face in its rest.
    """
    table = alignment.read(alignment_path)
    if len(table) > row.n_frames:
        raise InputError(f"{alignment_path}: {len(table)} rows, videos.csv says {row.n_frames} frames")
    if len(table) < row.n_frames:
        print(f"WARNING: {row.video_id}: cut short, {len(table)} of {row.n_frames} frames; the rest has no face")
    has_face = np.zeros(row.n_frames, dtype=bool)
    has_face[: len(table)] = table.status != "missing"
    return has_face, len(table)


def video_features(row, crops_path, alignment_path, network, settings, device):
    """Features of one video (`row` of videos.csv) on the 30 fps axis; zeros and `valid` False where no face is."""
    precision = compute.choose_precision(settings["precision"], device)
    has_face, n_read = faces_seen(row, alignment_path)
    source = intervals.source_frames(row.n_frames, row.fps)  # [n_steps]
    needed = np.zeros(row.n_frames, dtype=bool)
    needed[source] = True
    needed &= has_face
    side = (settings["input_size"], settings["input_size"])
    wanted = (
        cv2.resize(image, side, interpolation=cv2.INTER_AREA)
        for image, use in zip(crops.read(crops_path), needed[:n_read], strict=True)
        if use
    )
    progress = tqdm(wanted, desc=f"features {row.video_id}", total=int(needed.sum()), unit="frame")
    per_frame = np.zeros((row.n_frames, backbone.WIDTH), dtype=np.float32)
    per_frame[needed] = embed(progress, network, settings, precision, device)
    if not np.isfinite(per_frame).all():
        raise FloatingPointError(
            f"{crops_path}: features are not finite (frame {np.argwhere(~np.isfinite(per_frame))[0][0]})"
        )
    return per_frame[source].astype(np.float16), has_face[source], precision


def run(videos, faces_folder, weights, path, settings):
    """Features of all rows of `videos` into one HDF5 file at `path`.

    Crops and alignments are `faces_folder/{crops,alignment}/{video_id}.*`; `settings` is section `backbone`.
    """
    device = compute.prepare(0, settings["threads"])
    network = backbone.load(weights).to(device)
    of_all = {
        "frame_stride": 1,
        "weights_sha256": sha256(weights),
        "weights_origin": backbone.origin(weights),
        "input_size": settings["input_size"],
        "mean": settings["mean"],
        "std": settings["std"],
        "version": __version__,
    }
    write(path, videos, faces_folder, of_all, lambda *video: video_features(*video, network, settings, device))


def write(path, videos, faces_folder, of_all, features_of):
    """Each video's `features_of(row, crops_path, alignment_path)` into one HDF5 file, with the attributes `of_all`."""
    with whole(path) as partial, h5py.File(partial, "w") as file:
        for row in videos.itertuples():
            crops_path = faces_folder / "crops" / f"{row.video_id}{crops.CROPS_SUFFIX}"
            alignment_path = faces_folder / "alignment" / f"{row.video_id}.csv"
            features, valid, precision = features_of(row, crops_path, alignment_path)
            attributes = {**of_all, "source_sha256": sha256(crops_path), "precision": precision}
            cache.write_group(file, row.video_id, cache.Features(features, valid, attributes))
