"""What the benchmarks share: two ways timed in turn in one process, one form of report, made-up detections.

Every script here measures one claim of docs/performance.md and prints a table and, last, one line of JSON (one for
each alternative, where it is held against two).
"""

import argparse
import json
import statistics
import time

import numpy as np
import pandas as pd

from fedn_pipeline import config, rehearsal


def options(description):
    """The command line of every benchmark: `.quick`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="within 60 s on 2 cores")
    return parser.parse_args()


def seconds(function):
    """Wall time of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def alternate(ours, alternative, repeats):
    """Median seconds of two functions called in turn `repeats` times, after one call of each that warms up."""
    taken = [(seconds(ours), seconds(alternative)) for _ in range(repeats + 1)][1:]
    return tuple(statistics.median(side) for side in zip(*taken, strict=True))


def report(name, ours, alternative, target, unit):
    """Print two numbers as a table, then as JSON with their ratio, above 1 where ours is better.

    `unit`: of "s" the smaller is better, of anything else ("windows/s") the larger. `target`: of the ratio, or None.
    """
    ratio = alternative / ours if unit == "s" else ours / alternative
    goal = "none" if target is None else f"{target:.4g}"
    print(f"{name}\n  {'ours':12}{ours:12.4g} {unit}\n  {'alternative':12}{alternative:12.4g} {unit}")
    print(f"  {'ratio':12}{ratio:12.4g}, target {goal}")
    print(json.dumps({"name": name, "ours": ours, "alternative": alternative, "ratio": ratio, "target": target}))


def like_casme3(share=1.0):
    """Tables `videos, events` of CAS(ME)^3's size, or of a share of it (rehearsal.py)."""
    return rehearsal.plan(config.validate({"rehearsal": {"share": share}})["rehearsal"])


def detections_near(random, videos, events, per_video=100):
    """`per_video` detections of every video: four around each event, more confident, and noise; F1 counts a tenth."""
    near = events.iloc[np.repeat(np.arange(len(events)), 4)].reset_index(drop=True)
    length = near.offset - near.onset + 1
    onset = (near.onset + random.normal(0, 0.2, len(near)) * length).clip(lower=0).astype(np.int64)
    offset = onset + (length * np.exp(random.normal(0, 0.2, len(near)))).astype(np.int64)
    near = near[["video_id"]].assign(onset=onset, offset=offset, confidence=random.beta(4, 4, len(near)))
    missing = per_video - near.video_id.value_counts().reindex(videos.video_id, fill_value=0)
    noise = pd.DataFrame({"video_id": np.repeat(missing.index, missing.clip(lower=0))})
    onset = random.integers(noise.video_id.map(videos.set_index("video_id").n_frames))
    length = 3 + random.lognormal(np.log(length.median()), 1.2, len(noise)).astype(np.int64)
    noise = noise.assign(onset=onset, offset=onset + length - 1, confidence=random.beta(1, 6, len(noise)))
    table = pd.concat([near, noise], ignore_index=True)
    emotion = random.choice(np.array(sorted(set(events.emotion)), dtype=object), len(table))
    return table.assign(emotion=emotion, kept=table.confidence > table.confidence.quantile(0.9))
