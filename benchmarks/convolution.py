"""The network's convolutions as matrix products, against PyTorch's own, forward and backward of all of them.

    python benchmarks/convolution.py [--quick]

A training step of the demo's 4 windows and of the default 32, on one thread, segments left out: blocks, neck, heads.
The target is that it pays on the processor at all; on CUDA both are PyTorch's own and nothing is measured.
"""

import torch
from common import alternate, options, report

from fedn_pipeline import config
from fedn_pipeline.model import fedn

CLASSES = 7


def step_of(form, windows):
    """A function that does forward and backward of `FEDN.detect` on random segments of `windows` windows."""
    torch.manual_seed(0)
    settings = config.validate({"model": {"form": form}})
    network, _ = fedn.build(settings, CLASSES)
    segments = torch.randn(windows, settings["windows"]["segments"], settings["model"]["embedding"])

    def step():
        intervals, logits = network.detect(segments)
        (intervals.square().sum() + logits.square().sum()).backward()
        network.zero_grad(set_to_none=True)

    return step


def main():
    quick = options(__doc__.splitlines()[0]).quick
    torch.set_num_threads(1)
    for windows in (4, 32):
        ours, plain = alternate(step_of("fast", windows), step_of("per_window", windows), 3 if quick else 10)
        report(
            f"all but the segments, forward and backward of {windows} windows, against nn.Conv1d", ours, plain, 1, "s"
        )


if __name__ == "__main__":
    main()
