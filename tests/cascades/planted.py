"""Caches of four subjects whose expressions carry their emotion's own pattern, in features and in flow alike."""

import h5py
import numpy as np
import pandas as pd

from fedn_pipeline import config
from fedn_pipeline.features import cache, flow
from fedn_pipeline.files import write_json

EMOTIONS = ["anger", "happiness"]
STEPS, WIDTH, SIDE, GAP, LENGTH = 300, 32, 12, 12, 24
ONSETS = (40, 120, 220)
SETTINGS = config.validate({
    "cefl": {"epochs": 20, "learning_rate": 1e-3, "clips": 3, "frames_per_clip": 3, "attention_heads": 2},
    "str": {"spotter_epochs": 6, "recogniser_epochs": 40, "learning_rate": 5e-3, "window_stride": 2},
    "flow": {"gaps": [6, GAP]},
    "folds": {"method": "cascade"},
})  # fmt: skip


def deformation(number):
    """How far each emotion's own muscles have moved at every step, `[n_steps, 2]`: up to the apex and back."""
    moved = np.zeros((STEPS + GAP, 2))
    for i, onset in enumerate(ONSETS):
        moved[onset : onset + LENGTH, (number + i) % 2] = np.sin(np.linspace(0, np.pi, LENGTH))
    return moved


def tables():
    """videos.csv and events.csv; the emotions of the middle and the outer expressions differ."""
    videos = [(f"v{n}", f"p{n}", f"v{n}.mp4", "video", STEPS, 30.0, 640, 480) for n in range(4)]
    events = [
        (
            f"v{n}",
            onset,
            onset + LENGTH // 2,
            onset + LENGTH - 1,
            "macro",
            EMOTIONS[(n + i) % 2],
            "annotated",
            "planted",
        )
        for n in range(4)
        for i, onset in enumerate(ONSETS)
    ]
    videos = pd.DataFrame(
        videos, columns=["video_id", "subject", "source", "kind", "n_frames", "fps", "width", "height"]
    )
    names = ["video_id", "onset", "apex", "offset", "expression_type", "emotion", "label_set", "provenance"]
    return videos, pd.DataFrame(events, columns=names)


def write_features(path):
    directions = np.random.default_rng(99).normal(size=(2, WIDTH))
    with h5py.File(path.with_name("part.h5"), "w") as file:
        for number in range(4):
            noise = np.random.default_rng(number).normal(size=(STEPS, WIDTH)) * 0.3
            values = noise + 2 * deformation(number)[:STEPS] @ directions
            attributes = {"frame_stride": 1, "weights_sha256": "abc", "weights_origin": "planted"}
            entry = cache.Features(values.astype(np.float16), np.ones(STEPS, dtype=bool), attributes)
            cache.write_group(file, f"v{number}", entry)
    cache.merge([path.with_name("part.h5")], path)


def write_flow(path):
    """Anger moves the left half of the face, happiness the right one; strain is where something moves."""
    halves = np.zeros((2, SIDE, SIDE))
    halves[0, :, : SIDE // 2], halves[1, :, SIDE // 2 :] = 1, 1
    with h5py.File(path.with_name("part.h5"), "w") as file:
        for number in range(4):
            moved = deformation(number)
            u = np.tensordot(moved[GAP:] - moved[:STEPS], halves, axes=1)
            noise = np.random.default_rng(number).normal(size=(STEPS, 3, SIDE, SIDE)) * 0.1
            values = np.stack([u, u / 2, np.abs(u)], axis=1) + noise
            valid = np.arange(STEPS) < STEPS - GAP
            values[~valid] = 0
            attributes = {"frame_stride": 1, "gap": GAP, "weights_sha256": "none", "weights_origin": "planted flow"}
            flow.write_group(file, f"v{number}", cache.Features(values.astype(np.float16), valid, attributes))
    cache.merge([path.with_name("part.h5")], path)


def write_spotter(folder, video="v1", held_out="p1"):
    """A spotter's fold: every expression a little off, and noise below the threshold; no emotions."""
    rows = [(video, onset + 2, onset + LENGTH + 1, 0.9 - 0.1 * i, "", 1) for i, onset in enumerate(ONSETS)]
    rows.append((video, 5, 30, 0.1234567890123, "", 0))
    folder.mkdir(parents=True)
    names = ["video_id", "onset", "offset", "confidence", "emotion", "kept"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "detections.csv", index=False)
    write_json(folder / "threshold.json", {"threshold": 0.5, "protocol": "held_out", "chosen_on": ["v2"]})
    record = {"held_out": held_out, "seed": 0, "test_videos": [video], "training": "focal loss, 3 steps of 4 windows"}
    write_json(folder / "fold.json", record)
