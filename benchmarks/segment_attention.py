"""Segment attention as computed against its literal form: time of a whole training step, as a ratio.

    python benchmarks/segment_attention.py [--quick]

Prints a table and, last, one JSON line. Both forms run in turn in the same process on the same windows.
"""

import argparse
import json
import statistics
import time

import torch

from fedn_pipeline import config
from fedn_pipeline.model import fedn, geometry


def step_s(network, x, literal):
    """Seconds of one forward and backward pass."""
    started = time.perf_counter()
    intervals, logits = network(x, literal=literal)
    (intervals.square().mean() + logits.square().mean()).backward()
    network.zero_grad()
    return time.perf_counter() - started


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="within 60 s on 2 cores")
    arguments.add_argument("--batch", type=int, default=8)
    options = arguments.parse_args()
    settings = config.validate({})
    torch.manual_seed(0)
    network, _ = fedn.build(settings, classes=4)
    x = torch.randn(options.batch, geometry.frames_read(settings["windows"]), settings["model"]["feature_width"])
    seconds = {False: [], True: []}
    for repeat in range(4 if options.quick else 12):
        for literal in (False, True):
            took = step_s(network, x, literal)
            if repeat:  # the first one warms up
                seconds[literal].append(took)
    ours, alternative = (options.batch / statistics.median(seconds[literal]) for literal in (False, True))
    print(f"{'form':14}{'windows/s':>10}")
    print(f"{'as computed':14}{ours:10.1f}\n{'literal':14}{alternative:10.1f}")
    result = {"name": "segment attention, training step", "ours": ours, "alternative": alternative}
    print(json.dumps({**result, "ratio": ours / alternative, "target": None}))


if __name__ == "__main__":
    main()
