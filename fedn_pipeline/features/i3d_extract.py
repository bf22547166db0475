"""Crops of a batch of videos -> two-stream I3D -> their part of the feature cache (stage `features`).

Row i is the clip of steps 2i ... 2i+7 on the 30 fps axis, segment i of model.md: 1024 values of the pictures and 1024
of the optical flow from each step to the next (TV-L1, Carreira & Zisserman 2017, section 2.5), both scaled to [-1, 1]
as the published weights want it. Steps beyond the end, and steps without a face, repeat the picture before them (the
first face where there is none before); a repeated picture does not move.
"""

from collections import deque
from functools import partial

import cv2
import numpy as np
import torch
from tqdm import tqdm

from fedn_pipeline import __version__, compute, intervals
from fedn_pipeline.faces import crops
from fedn_pipeline.features import backbone, extract, flow, i3d
from fedn_pipeline.files import InputError, sha256


def clip_steps(n_steps, settings):
    """Steps of each clip `[ceil(n_steps / clip_stride), clip_frames]` int64; the last step stands for those beyond."""
    first = np.arange(0, n_steps, settings["clip_stride"])
    return np.minimum(first[:, None] + np.arange(settings["clip_frames"]), n_steps - 1)


def picked(pictures, frames):
    """Yield the picture of each of `frames` (never decreasing) out of an iterable of all; repeats are one object."""
    numbered, number = enumerate(pictures), -1
    for frame in frames:
        while number < frame:
            number, picture = next(numbered)
        yield picture


def with_flow(pictures, method, bound):
    """Yield `(picture, motion)` of each of `pictures` `[h, w, 3]` uint8 RGB; `method` is one of flow.METHODS.

    motion `[h, w, 2]` float32: flow (x, y) to the next picture, -1 ... 1 for -bound ... bound px; 0 where the next is
    the same object, or there is none.
    """
    estimate = flow.METHODS[method]()
    before = gray_before = None
    for picture in pictures:
        gray = gray_before if picture is before else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        if before is not None:
            moved = picture is not before
            motion = estimate(gray_before, gray) if moved else np.zeros((*gray.shape, 2), dtype=np.float32)
            yield before, motion.clip(-bound, bound) / bound
        before, gray_before = picture, gray
    yield before, np.zeros((*gray_before.shape, 2), dtype=np.float32)


def clips(items, length, stride):
    """Yield `length` consecutive items as a list, every `stride`."""
    window = deque(maxlen=length)
    for number, item in enumerate(items):
        window.append(item)
        if number >= length - 1 and (number - length + 1) % stride == 0:
            yield list(window)


def embed(clips, networks, batch_size, precision, device):
    """Iterable of clips, lists of `(picture, motion)` -> features `[n, 2048]` float32: RGB's 1024, then flow's."""
    outputs, batch = [], []

    def flush():
        pictures, motions = (np.array([[pair[stream] for pair in clip] for clip in batch]) for stream in (0, 1))
        inputs = {"rgb": torch.from_numpy(pictures).float() / 127.5 - 1, "flow": torch.from_numpy(motions)}
        with torch.inference_mode(), compute.autocast(precision, device):
            streams = [networks[name](inputs[name].permute(0, 4, 1, 2, 3).to(device)) for name in i3d.CHANNELS]
        outputs.append(torch.cat(streams, dim=1).float().cpu().numpy())
        batch.clear()

    for clip in clips:
        batch.append(clip)
        if len(batch) == batch_size:
            flush()
    if batch:
        flush()
    return np.concatenate(outputs)


def video_features(row, crops_path, alignment_path, networks, settings, precision, device):
    """`(features [clips, 2048] float16, valid [clips] bool)` of one video (`row` of videos.csv).

    valid: at least `i3d.min_face_share` of the clip's steps show a face; any other clip is not computed, its row is 0.
    """
    own, side = settings["i3d"], settings["backbone"]["input_size"]
    has_face, n_read = extract.faces_seen(row, alignment_path)
    if crops.n_frames(crops_path) != n_read:
        raise InputError(f"{crops_path}: {crops.n_frames(crops_path)} crops, its alignment has {n_read} rows")
    source = intervals.source_frames(row.n_frames, row.fps)  # [n_steps]
    steps = clip_steps(len(source), own)
    valid = has_face[source][steps].mean(axis=1) >= own["min_face_share"]
    features = np.zeros((len(steps), i3d.WIDTH * len(i3d.CHANNELS)), dtype=np.float16)
    if valid.any():
        shown = np.maximum.accumulate(np.where(has_face, np.arange(row.n_frames), has_face.argmax()))
        end = steps.shape[1] + own["clip_stride"] * (len(steps) - 1)
        line = np.minimum(np.arange(end), len(source) - 1)  # the steps of all clips, each once
        scaled = (cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA) for crop in crops.read(crops_path))
        pairs = with_flow(picked(scaled, shown[source][line]), own["flow_method"], own["flow_bound"])
        every = clips(pairs, own["clip_frames"], own["clip_stride"])
        used = (clip for clip, use in zip(every, valid, strict=True) if use)
        progress = tqdm(used, desc=f"features {row.video_id}", total=int(valid.sum()), unit="clip")
        features[valid] = embed(progress, networks, own["batch_size"], precision, device)
    if not np.isfinite(features).all():
        clip = np.argwhere(~np.isfinite(features))[0][0]
        raise FloatingPointError(f"{crops_path}: features are not finite (clip {clip})")
    return features, valid


def run(videos, faces_folder, weights, path, settings):
    """Features of all rows of `videos` into one HDF5 file at `path`; `weights` are those of `i3d.convert`.

    Crops and alignments are `faces_folder/{crops,alignment}/{video_id}.*`; settings: sections `backbone`, `i3d`.
    """
    own = settings["i3d"]
    device = compute.prepare(0, settings["backbone"]["threads"])
    precision = compute.choose_precision(settings["backbone"]["precision"], device)
    cv2.setNumThreads(settings["backbone"]["threads"])
    networks = {name: network.to(device) for name, network in i3d.load(weights).items()}
    of_all = {
        "frame_stride": own["clip_stride"],
        "clip_frames": own["clip_frames"],
        "weights_sha256": sha256(weights),
        "weights_origin": backbone.origin(weights),
        "input_size": settings["backbone"]["input_size"],
        "flow_method": own["flow_method"],
        "flow_bound": own["flow_bound"],
        "backend": "torch",
        "precision": precision,
        "version": __version__,
    }
    of_one = partial(video_features, networks=networks, settings=settings, precision=precision, device=device)
    extract.write(path, videos, faces_folder, of_all, of_one)
