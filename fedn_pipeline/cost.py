"""`cost.json`: what it takes a fold to predict its test videos from cached inputs, measured beside every fold.

FLOP are those that the code computes, counted as the paper does: 2 per MAC, convolutions and matrix products; not those
of the network that made the input (`model/flops.py`). Seconds are wall time. This file and DECODING are measurements:
of all that a fold writes they alone are not the same bytes when it runs again, and no result depends on them.
"""

import time

from fedn_pipeline import files, intervals

NAME = "cost.json"
DECODING = "detections_cost.json"  # stage `detections`, where that is a job of its own: no network, seconds alone
FIELDS = ("frames", "seconds", "frames_per_second", "gflop_per_minute", "parameters", "inputs", "device", "threads")


def measured(path, predict, videos, parameters=0, inputs=(), device="cpu", threads=1):
    """Write what `predict(videos)` takes into `path`; what it gives.

    `videos`: rows of videos.csv, with video_id, n_frames and fps, whose frames count on the 30 fps axis. With
    `parameters`, those of its networks, FLOP are counted in a call with the first video alone in which there are any (a
    face), null where there is none; that also warms up what is measured. `inputs`: the caches that it reads; `device`
    and `threads`: what it computes on.
    """
    steps = [intervals.n_steps(video.n_frames, video.fps) for video in videos.itertuples()]
    minutes = [n / intervals.FEATURE_FPS / 60 for n in steps]
    gflop = _gflop_per_minute(predict, videos, minutes) if parameters else 0.0
    start = time.perf_counter()
    found = predict(videos)
    seconds = time.perf_counter() - start
    values = (sum(steps), seconds, sum(steps) / seconds, gflop, parameters, [*map(cache_name, inputs)])
    files.write_json(path, dict(zip(FIELDS, (*values, str(device), threads), strict=True)))
    return found


def _gflop_per_minute(predict, videos, minutes):
    """GFLOP of predicting the first video in which the network has something to do, per minute; None without one."""
    for place, length in enumerate(minutes):
        if found := flop(lambda place=place: predict(videos[place : place + 1])):
            return found / 1e9 / length
    return None


def unknown(path):
    """Write a `cost.json` without values: nothing was predicted."""
    files.write_json(path, dict.fromkeys(FIELDS))


def cache_name(path):
    """`features/NAME`, `flow/gapK` or `regions/gapK` of a cache; Snakemake's benchmarks of it are under that name."""
    return f"{path.parent.name}/{path.stem}"


def flop(call):
    """FLOP of one call of a function without arguments, those of attention by its matrix products."""
    import torch  # a method without a network does not wait for it
    from torch.utils.flop_counter import FlopCounterMode

    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # attention as one operation, which the counter does not know
    try:
        with FlopCounterMode(display=False) as counter:
            call()
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counter.get_total_flops()
