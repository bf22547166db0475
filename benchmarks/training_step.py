"""A step of the training loop, its learning curve included, against the bare step on tensors that lie ready.

    python benchmarks/training_step.py [--quick]

The fold is made up: its features are noise, its expressions like those of CAS(ME)^3. The bare step is forward, loss,
backward, clipping and optimiser on the same batches. Set-up is in neither. The learning curve has the share that it has
by default. In the form `per_window` the bare step's windows lie ready in float32; `fast` finds out itself which
segments they share, so there both sides read features by index. On the CPU seconds are the process's own.
"""

import itertools
import statistics
import time

import numpy as np
import torch
from common import like_casme3, options, report
from torch.optim.optimizer import register_optimizer_step_post_hook

from fedn_pipeline import compute, config
from fedn_pipeline.model import fedn, geometry
from fedn_pipeline.training import data, loop, losses

SHARE = 1 / 50  # of CAS(ME)^3


def made_up(settings, share, device):
    """`(Videos, events, classes)` of a fold on that share of the data set, as `loop.train` takes them."""
    videos, events = like_casme3(share)
    classes = sorted(events.emotion.unique())
    truth = data.events_on_feature_axis(events, events[:0], videos, videos.video_id, classes)
    generator, width = torch.Generator().manual_seed(0), settings["model"]["feature_width"]
    features = torch.randn(videos.n_frames.sum(), width, generator=generator).half().to(device)
    return data.Videos(tuple(videos.video_id), videos.n_frames.to_numpy(), features, {}), truth, classes


def bare_steps(settings, videos, truth, classes, device):
    """The network, and a function without arguments that makes the next step of the fold's training with it."""
    generator, training = np.random.default_rng(0), settings["training"]
    precision = compute.choose_precision(training["precision"], device)
    index, assigned, grid = loop.prepare(videos, truth, settings, generator)
    order = torch.from_numpy(generator.permutation(len(index))).to(device)
    whole = order[: len(order) - len(order) % training["batch_size"]].split(training["batch_size"])
    ready = settings["model"]["form"] == "per_window"
    network, _ = fedn.build(settings, len(classes))

    def batch(chosen):
        return videos.features[index[chosen]].float() if ready else index[chosen], assigned.select(chosen)

    batches = itertools.cycle([batch(chosen) for chosen in whole])
    network, grid = network.to(device).train(), grid.to(device)
    rate, decay = training["learning_rate"], training["weight_decay"]
    optimizer = torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay, fused=True)

    def step():
        given, wanted = next(batches)
        with compute.autocast(precision, device):
            raw, logits = network(given) if ready else network.of_windows(videos.features, given)
        loss, _ = losses.loss(geometry.decode(raw.float(), grid), logits.float(), wanted, training)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), training["gradient_norm"])
        optimizer.step()

    return network, step


def clock(device):
    """Seconds: of this process on the CPU; on the wall, once the device has done all it was told, on CUDA."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds_of_bare(fold, settings, n, device):
    """Seconds of one of `n` bare steps of a new network, after a first one."""
    _, step = bare_steps(settings, *fold, device)
    step()
    started = clock(device)
    for _ in range(n):
        step()
    return (clock(device) - started) / n


def seconds_of_loop(fold, settings, n, device):
    """Seconds of one of `n` steps of `loop.train`, after a first one; a row of the learning curve lies among them."""
    count, ends = itertools.count(), []
    chosen = settings["training"] | {"steps": n + 1, "log_every": n}

    def note(*_):
        if next(count) in (0, n):
            ends.append(clock(device))

    hook = register_optimizer_step_post_hook(note)
    videos, truth, classes = fold
    loop.train(videos, truth, videos, truth, classes, settings | {"training": chosen}, 0, device, "benchmark")
    hook.remove()
    return (ends[1] - ends[0]) / n


def main():
    quick = options(__doc__.splitlines()[0]).quick
    settings = config.validate({})
    training = settings["training"]
    device = compute.prepare(0, training["threads"])
    # So many steps for each held-out batch as by default, however few of both and however small.
    n = training["log_every"] * training["batch_size"] // training["held_out_windows"]
    batches, repeats = (8, 5) if device.type == "cuda" else (1, 2)
    training["batch_size"] = training["batch_size"] if device.type == "cuda" else 4 if quick else 16
    training["held_out_windows"] = batches * training["batch_size"]
    fold = made_up(settings, SHARE, device)
    sides = (seconds_of_loop, seconds_of_bare)
    precision = compute.choose_precision(training["precision"], device)
    for form in ("fast", "per_window"):
        settings["model"]["form"] = form
        pairs = [[side(fold, settings, batches * n, device) for side in sides] for _ in range(repeats + 1)]
        ours_s, bare_s = (statistics.median(side) for side in zip(*pairs[1:], strict=True))
        what = f"training step of {training['batch_size']} windows ({form}, {device.type}, {precision})"
        report(f"{what}, against the bare step", ours_s, bare_s, 0.95, "s")


if __name__ == "__main__":
    main()
