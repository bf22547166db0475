"""Crops one after another -> what the features are made of, for each backbone that a bundle can have.

Each opener gives a context in which a function turns an iterable of Crops into pairs `(crop, vector)`, in order, and
what finishes the vectors of the followed person on the 30 fps axis: the features stage's own functions.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np

from fedn_pipeline import intervals
from fedn_pipeline.faces import landmarks
from fedn_pipeline.features import backbone, backends, blendshapes


@dataclass
class Crop:
    """One face in one frame: `track` (following.Track), image `[size, size, 3]` uint8 RGB, its similarity `[4]`."""

    frame: int
    track: object
    image: np.ndarray
    similarity: np.ndarray


@contextmanager
def _blendshapes(bundle):
    faces = bundle.settings["faces"]

    def embed(crops):
        for crop in crops:
            yield crop, blendshapes.look(reader, crop.image, crop.similarity).astype(np.float32)

    def finish(raw, has_face):
        return blendshapes.of_steps(raw, has_face, round(faces["max_gap_s"] * intervals.FEATURE_FPS))

    with landmarks.Landmarker(1, faces["min_confidence"], video=False, expressions=True) as reader:
        yield embed, finish, blendshapes.N_RAW


@contextmanager
def _resnet18(bundle):
    settings = bundle.settings["backbone"]
    network, _, _ = backends.load(bundle.weights, settings)
    side = settings["input_size"]

    def embed(crops):
        crops = iter(crops)
        while batch := list(islice(crops, settings["batch_size"])):
            images = [cv2.resize(crop.image, (side, side), interpolation=cv2.INTER_AREA) for crop in batch]
            yield from zip(batch, network(np.stack(images)).astype(np.float16), strict=True)

    def finish(raw, has_face):
        valid = has_face & np.isfinite(raw[:, 0])
        return np.where(valid[:, None], raw, 0).astype(np.float16), valid

    yield embed, finish, backbone.WIDTH


# Each: bundle -> context of (embed: iterable of Crop -> pairs (Crop, [width] float); finish: raw [n_steps, width] with
# NaN where none, has_face [n_steps] -> (features [n_steps, D] float16, valid [n_steps] bool); width).
OPENERS = {"blendshapes": _blendshapes, "resnet18": _resnet18}
