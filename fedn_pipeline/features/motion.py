"""A cache of optical flow or of regions -> the same motion as features of frames (stage `features`, `flow_gapK.h5`).

The peers' input for FEDN's own networks (docs/peers.md, Inputs), so that a comparison with them need not rest on what a
backbone has seen. Row t describes the motion from step t to t + gap: regions `[R, 2]` as they are, pictures of flow and
strain `[3, size, size]` averaged to a few cells. Values stay in px; `model.input_norm: training` scales them.
"""

import cv2
import numpy as np

from fedn_pipeline import hdf5
from fedn_pipeline.features import cache


def averaged(pictures, size):
    """Pictures `[n, C, side, side]` -> `[n, C, size, size]` float32, each cell the mean of its area."""
    found = np.empty((len(pictures), pictures.shape[1], size, size), dtype=np.float32)
    for cells, channels in zip(found, pictures, strict=True):
        for cell, channel in zip(cells, channels.astype(np.float32), strict=True):
            cv2.resize(channel, (size, size), dst=cell, interpolation=cv2.INTER_AREA)
    return found


def of_frames(entry, size):
    """A video's motion (cache.Features) as a vector a step: features `[n_steps, D]` float16, valid `[n_steps]`.

    A step is valid where a face shows, that is, where a flow starts or ends; where none starts, its values are 0.
    """
    motion, attributes = entry.features, dict(entry.attributes)
    if motion.ndim == 4:
        motion = averaged(motion, size)
        attributes["weights_origin"] = f"{attributes['weights_origin']}, averaged to {size} px"
    gap = int(attributes["gap"])
    ends = np.zeros_like(entry.valid)
    ends[gap:] = entry.valid[:-gap]
    return cache.Features(motion.reshape(len(motion), -1).astype(np.float16), entry.valid | ends, attributes)


def run(source, path, settings):
    """All videos of the merged cache `source` (of rule `flow` or `regions`) into a feature cache at `path`.

    `settings` is section `flow`. Raises InputError as `cache.read`, and if `source` holds no motion.
    """
    cache.gap(source)
    with hdf5.whole(path) as file:
        for video in cache.videos(source):
            cache.write_group(file, video, of_frames(cache.read(source, video), settings["feature_size"]))
        cache.finish(file, path)
