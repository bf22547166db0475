"""A feature cache of four subjects: expressions move features one way, others another; and a task on it."""

import h5py
import numpy as np
import pandas as pd

from fedn_pipeline import compute, config
from fedn_pipeline.features import cache
from fedn_pipeline.peers.task import Inputs, Task
from fedn_pipeline.training.split import Split

STEPS, WIDTH = 600, 24
ONSETS, LENGTHS = (30, 90, 150, 250), (24, 40, 70, 16)
OTHER_ONSETS, OTHER_LENGTH = (300, 380, 440, 520), 30  # movements that are no expressions
SMALL = {
    "base_width": 32, "level_widths": [32, 32, 48, 48], "reduced_width": 32, "head_width": 16, "learning_rate": 3e-3,
    "batch_size": 8, "least_batches": 2, "epochs": 50, "log_every": 1000,
}  # fmt: skip


def settings(method, **own):
    """All settings with a small network for one method, in single precision."""
    return config.validate({
        "folds": {"method": method}, "training": {"precision": "fp32"}, method: {**SMALL, **own},
    })  # fmt: skip


def tables():
    """videos.csv and events.csv of the four videos v0 ... v3."""
    videos = [(f"v{n}", f"p{n}", f"v{n}.mp4", "video", STEPS, 30.0, 640, 480) for n in range(4)]
    events = [
        (f"v{n}", onset, onset + length // 2, onset + length - 1, "macro", "happiness", "annotated", "planted")
        for n in range(4)
        for onset, length in zip(ONSETS, LENGTHS, strict=True)
    ]
    names = ["video_id", "subject", "source", "kind", "n_frames", "fps", "width", "height"]
    of_events = ["video_id", "onset", "apex", "offset", "expression_type", "emotion", "label_set", "provenance"]
    return pd.DataFrame(videos, columns=names), pd.DataFrame(events, columns=of_events)


def movement(onsets, lengths):
    """How far features have moved at every step `[STEPS]`: up to the apex and back."""
    moved = np.zeros(STEPS)
    for onset, length in zip(onsets, lengths, strict=True):
        moved[onset : onset + length] = np.sin(np.linspace(0, np.pi, length))
    return moved


def write(path, row_stride=1):
    """The cache: a row every `row_stride` steps."""
    directions = np.random.default_rng(99).normal(size=(2, WIDTH))
    moved = np.stack([movement(ONSETS, LENGTHS), movement(OTHER_ONSETS, [OTHER_LENGTH] * len(OTHER_ONSETS))], axis=1)
    with h5py.File(path.with_name("part.h5"), "w") as file:
        for number in range(4):
            noise = np.random.default_rng(number).normal(size=(STEPS, WIDTH)) * 0.3
            values = (noise + 2 * moved @ directions)[::row_stride].astype(np.float16)
            attributes = {"frame_stride": row_stride, "weights_sha256": "abc", "weights_origin": "planted"}
            cache.write_group(file, f"v{number}", cache.Features(values, np.ones(len(values), dtype=bool), attributes))
    cache.merge([path.with_name("part.h5")], path)


def task(path, method, train=("v0", "v1", "v2"), events=None, others=None, **own):
    """A Task that trains on some videos, holds out v3 and tests it too, and its Inputs."""
    videos, known = tables()
    known = known if events is None else events
    every = settings(method, **own)
    parts = Split(tuple(train), ("v3",), ())
    device, generator = compute.prepare(0, 1), np.random.default_rng(0)
    others = known[:0] if others is None else others
    return Task(videos, known, others, parts, every, every[method], generator, device, "test"), Inputs(path)
