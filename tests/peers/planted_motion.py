"""Flow caches of faces of which a patch moves as told, and the Task of a fold on them."""

import h5py
import numpy as np
import pandas as pd

from fedn_pipeline import compute
from fedn_pipeline.features import cache, flow
from fedn_pipeline.peers.task import Task
from fedn_pipeline.training.split import Split

STEPS, LENGTH, SIDE = 400, 32, 42  # steps of a video and of an expression; px
ONSETS = (40, 130, 210, 320)
VIDEOS = ("v0", "v1", "v2")
PATCH = np.zeros((SIDE, SIDE))
PATCH[21:35, 7:21] = 1  # two blocks of MDMD's six by six, both ways


def tables(lengths=(LENGTH,) * 3, kind="macro"):
    """videos.csv and events.csv: video number i has expressions of `lengths[i]` steps at ONSETS, apex in the middle."""
    videos = pd.DataFrame({
        "video_id": VIDEOS, "subject": [f"p{i}" for i in range(3)], "n_frames": STEPS, "fps": 30.0,
    })  # fmt: skip
    rows = [
        (video, onset, onset + length // 2, onset + length - 1, kind, "happiness")
        for video, length in zip(VIDEOS, lengths, strict=True)
        for onset in ONSETS
    ]
    events = pd.DataFrame(rows, columns=["video_id", "onset", "apex", "offset", "expression_type", "emotion"])
    return videos, events.astype({"apex": "Int64"})


def expressions(n_steps=STEPS, px=2.0):
    """How far the patch has moved `[n_steps]` px: out to the apex of every expression and back."""
    moved = np.zeros(n_steps)
    for onset in ONSETS:
        moved[onset : onset + LENGTH] = px * np.sin(np.linspace(0, np.pi, LENGTH))
    return moved


def write(path, moved, gap, noise=0.0, where=PATCH):
    """A flow cache over `gap` steps; `moved`: video -> where its patch is at every step `[n_steps]` px."""
    with h5py.File(path.with_name(f"part_{path.name}"), "w") as file:
        for number, (video, place) in enumerate(moved.items()):
            n = len(place)
            motion = np.zeros(n)
            motion[: n - gap] = place[gap:] - place[: n - gap]
            random = np.random.default_rng(number * 100 + gap)
            u, v = (share * motion[:, None, None] * where for share in (1.0, 0.5))
            u, v = (part + noise * random.normal(size=part.shape) for part in (u, v))
            values = np.stack([u, v, [flow.strain(*pair) for pair in zip(u, v, strict=True)]], axis=1)
            valid = np.arange(n) < n - gap
            values[~valid] = 0
            attributes = {"frame_stride": 1, "gap": gap, "weights_sha256": "none", "weights_origin": "planted motion"}
            flow.write_group(file, video, cache.Features(values.astype(np.float16), valid, attributes))
    cache.merge([path.with_name(f"part_{path.name}")], path)
    return path


def task(method, settings, videos, events, others=None):
    """A fold that learns from v0 and v1; v2 is held out of the gradient and tested."""
    others = events[:0] if others is None else others
    parts = Split(("v0", "v1"), ("v2",), ("v2",))
    generator = np.random.default_rng(0)
    device = compute.prepare(0, 1)
    return Task(videos, events, others, parts, settings, settings[method], generator, device, method)
