"""What a CUDA device makes of the training step, of the backbone and of several folds at once.

    python benchmarks/gpu.py [--quick]

Rates are held against a large matrix product of the same precision in the same run. Forms of the training step: the
default (`fast`), and `per_window`, whose shapes never change, as it is and under torch.compile with CUDA graphs.
The JSON lines are of the default precision. `--quick`: fewer calls and processes; compiling takes longest. Without
a CUDA device nothing is measured, and the numbers of the JSON lines are null.
"""

import json
import multiprocessing
import time
from dataclasses import dataclass, field

import torch
from common import options, report
from torchvision.models import resnet18
from training_step import bare_steps, clock, made_up

from fedn_pipeline import compute, config, cost
from fedn_pipeline.features import backbone

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
TARGETS = {  # of each claim's ratio; null where it is a finding
    "ResNet18 against a matrix product (FLOP/s)": 0.5,
    "training step against a matrix product (FLOP/s)": None,
    "training step: the fastest form against the default eager one": None,
    "folds at once against one at a time (folds/h)": 2,
}
FOLD_STEPS = 20_000  # of a fold of CAS(ME)^3: 30 epochs of 21 000 windows, 32 a step
PATIENCE_S = 600  # of processes that wait for each other


@dataclass(frozen=True)
class Size:
    """Side of the matrices; frames in a batch; a fold's share of CAS(ME)^3 and windows in its batch; calls that are
    timed; numbers of processes; `compile`: options of torch.compile."""

    matrix: int = 8192
    frames: int = 256
    share: float = 1 / 13
    windows: int = 32
    calls: int = 50
    processes: tuple = (1, 2, 4)
    compile: dict = field(default_factory=lambda: {"mode": "reduce-overhead"})


def seconds(call, n, device):
    """Seconds of one of `n` calls, after three that warm up."""
    for _ in range(3):
        call()
    started = clock(device)
    for _ in range(n):
        call()
    return (clock(device) - started) / n


def matrix_rate(size, precision, device):
    """FLOP/s of a product of two square matrices."""
    a, b = torch.randn(2, size.matrix, size.matrix, device=device, dtype=PRECISIONS[precision])
    return 2 * size.matrix**3 / seconds(lambda: a @ b, size.calls, device)


def backbone_rate(size, precision, compiled, side, device):
    """Frames per second of the frozen ResNet18, and FLOP of a frame."""
    network = backbone.fold_batch_norms(resnet18().eval()).to(device, memory_format=torch.channels_last)
    frames = torch.randn(size.frames, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def embed():
        with compute.autocast(precision, device):
            network(frames)

    per_frame = cost.flop(embed) / size.frames
    if compiled:
        network.compile(**size.compile)
    return size.frames / seconds(embed, size.calls, device), per_frame


def step_rate(size, settings, precision, form, compiled, device):
    """Seconds of a bare training step, its FLOP, and the most memory of the device (GiB) that its process held."""
    training = settings["training"] | {"precision": precision, "batch_size": size.windows}
    chosen = settings | {"training": training, "model": settings["model"] | {"form": form}}
    network, step = bare_steps(chosen, *made_up(chosen, size.share, device), device)
    per_step = cost.flop(step)
    if compiled:
        network.compile(**size.compile)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    took = seconds(step, size.calls, device)
    return took, per_step, torch.cuda.max_memory_allocated() / 2**30


def one_of_several(barrier, size, settings, device):
    """A process that trains a fold: waits for the others, makes its steps, waits again."""
    compute.prepare(0, settings["training"]["threads"])
    training = settings["training"] | {"batch_size": size.windows}
    chosen = settings | {"training": training}
    _, step = bare_steps(chosen, *made_up(chosen, size.share, device), device)
    seconds(step, 1, device)
    barrier.wait(PATIENCE_S)
    for _ in range(size.calls):
        step()
    clock(device)
    barrier.wait(PATIENCE_S)


def folds_per_hour(n, size, settings, device):
    """Folds of FOLD_STEPS that `n` processes together train in an hour, each its own, on one device."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(n + 1)
    processes = [context.Process(target=one_of_several, args=(barrier, size, settings, device)) for _ in range(n)]
    for process in processes:
        process.start()
    barrier.wait(PATIENCE_S)
    started = time.perf_counter()
    barrier.wait(PATIENCE_S)
    took = time.perf_counter() - started
    for process in processes:
        process.join()
    return 3600 * n * size.calls / took / FOLD_STEPS


def measure(size, settings, device):
    """Prints all measurements, and yields `(ours, alternative, unit)` of each claim in the order of TARGETS."""
    matrix = {precision: matrix_rate(size, precision, device) for precision in PRECISIONS}
    for precision, rate in matrix.items():
        print(f"matrix product {precision}: {rate / 1e12:.3g} TFLOP/s")

    default = compute.choose_precision(settings["training"]["precision"], device)
    frames, steps = {}, {}  # of the default precision: FLOP/s, and seconds with FLOP
    for precision in PRECISIONS:
        for compiled in (False, True):
            way = f"{precision}{' compiled' * compiled}"
            speed, per_frame = backbone_rate(size, precision, compiled, settings["backbone"]["input_size"], device)
            print(f"ResNet18 {way}: {speed:.4g} frames/s; the product allows {matrix[precision] / per_frame:.4g}")
            if precision == default:
                frames[way] = speed * per_frame
        for form, compiled in (("fast", False), ("per_window", False), ("per_window", True)):
            way = f"{form} {precision}{' compiled' * compiled}"
            took, per_step, memory = step_rate(size, settings, precision, form, compiled, device)
            share = per_step / took / matrix[precision]
            print(f"training step {way}: {1e3 * took:.4g} ms, {share:.1%} of the product's rate, {memory:.2f} GiB")
            if precision == default:
                steps[way] = took, per_step
    folds = {n: folds_per_hour(n, size, settings, device) for n in size.processes}
    for n, speed in folds.items():
        print(f"{n} folds at once: {speed:.4g} folds/h")

    fastest_s, per_step = min(steps.values())
    yield max(frames.values()), matrix[default], "FLOP/s"
    yield per_step / fastest_s, matrix[default], "FLOP/s"
    yield fastest_s, steps[f"{settings['model']['form']} {default}"][0], "s"
    yield max(folds.values()), folds[1], "folds/h"


def main():
    quick = options(__doc__.splitlines()[0]).quick
    settings = config.validate({})
    device = compute.prepare(0, settings["training"]["threads"])
    if device.type == "cpu":
        print("no CUDA device: not measured")
        for name, target in TARGETS.items():
            print(json.dumps({"name": name, "ours": None, "alternative": None, "ratio": None, "target": target}))
        return
    torch.backends.cudnn.allow_tf32 = False  # as of matrix products: fp32 is fp32 on both sides
    print(torch.cuda.get_device_name(device))
    size = Size(calls=10, share=1 / 65, processes=(1, 2)) if quick else Size()
    for (name, target), measured in zip(TARGETS.items(), measure(size, settings, device), strict=True):
        ours, alternative, unit = measured
        report(name, ours, alternative, target, unit)


if __name__ == "__main__":
    main()
