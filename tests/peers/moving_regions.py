"""Caches of regions' flow of four subjects: brows or mouth move at the start and the end of every expression."""

import h5py
import numpy as np
import pandas as pd
import torch

from fedn_pipeline import compute, config
from fedn_pipeline.detection.threshold import choose_threshold
from fedn_pipeline.features import cache
from fedn_pipeline.peers import fold, task
from fedn_pipeline.training.split import Split

STEPS, REGIONS, NOISE = 420, 12, 0.05
BROWS, MOUTH = slice(0, 6), slice(8, 12)
ONSETS, LENGTHS = (40, 130, 240, 330), (30, 40, 26, 36)
IDS = tuple(f"v{n}" for n in range(4))


def tables():
    """videos.csv and events.csv: in the even places brows, in the odd ones mouths; apex at a third."""
    names = ["video_id", "subject", "source", "kind", "n_frames", "fps", "width", "height"]
    videos = pd.DataFrame([(v, f"p{v}", f"{v}.mp4", "video", STEPS, 30.0, 640, 480) for v in IDS], columns=names)
    rows = [
        (video, onset + 3 * n, onset + 3 * n + length // 3, onset + 3 * n + length - 1)
        for n, video in enumerate(IDS)
        for onset, length in zip(ONSETS, LENGTHS, strict=True)
    ]
    events = pd.DataFrame(rows, columns=["video_id", "onset", "apex", "offset"])
    events = events.assign(expression_type="macro", emotion="", label_set="annotated", provenance="planted")
    return videos, events.astype({"apex": "Int64"})


def write(path):
    """The merged cache: flow towards the apex, and back again behind it."""
    _, events = tables()
    with h5py.File(path.with_name("part.h5"), "w") as file:
        for number, (video, rows) in enumerate(events.groupby("video_id")):
            flow = np.random.default_rng(number).normal(size=(STEPS, REGIONS, 2)) * NOISE
            for place, row in enumerate(rows.itertuples()):
                where = MOUTH if place % 2 else BROWS
                flow[row.onset : row.apex, where, 1] -= 6 / (row.apex - row.onset)
                flow[row.apex : row.offset + 1, where, 1] += 6 / (row.offset + 1 - row.apex)
            valid = np.arange(STEPS) < STEPS - 1
            flow[~valid] = 0
            attributes = {"frame_stride": 1, "gap": 1, "weights_sha256": "none", "weights_origin": "planted regions"}
            cache.write_group(file, video, cache.Features(flow.astype(np.float16), valid, attributes))
    cache.merge([path.with_name("part.h5")], path)


def settings(method, **own):
    return config.validate({"folds": {"method": method}, method: own})


def job(path, method, train=IDS, held_out=IDS[3:], test=(), events=None, others=None, **own):
    """`(Task, Inputs)` of a fold; by default all videos train."""
    videos, planted = tables()
    events = planted if events is None else events
    every, device = settings(method, **own), compute.prepare(0, 1)
    generator, parts = np.random.default_rng(0), Split(tuple(train), tuple(held_out), tuple(test))
    others = events.iloc[:0] if others is None else others
    made = task.Task(videos, events, others, parts, every, every[method], generator, device, method)
    return made, task.Inputs(motion={1: path})


def own_f1(spotter, made):
    """Best strict spotting F1 on the training videos."""
    videos = made.videos[made.videos.video_id.isin(made.parts.train)]
    found = fold.detections(spotter, videos, made.settings["detections"])
    return choose_threshold(found, made.events, videos)["spotting_f1"]


def random_flow(*shape):
    return torch.from_numpy(np.random.default_rng(1).normal(size=(*shape, REGIONS, 2))).float()
