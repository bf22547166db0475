"""Features of videos, against the plain float32 loop that a person would write, and the backend chosen by rule.

    python benchmarks/features.py [--quick]

The loop reads with OpenCV, scales, normalises, and runs torchvision's ResNet18 on batches of 32, one after the other.
Both sides have all cores as threads. What the rule of `auto` chooses is held against each other backend and precision
that is installed; bf16 only where the processor has it, for elsewhere it is emulated. `--quick` takes fewer frames.
"""

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from common import alternate, options, report
from streaming import SETTINGS, video, weights
from torch import nn
from torchvision.models import resnet18

from fedn_pipeline import compute
from fedn_pipeline.features import backbone, backends, extract

THREADS = len(os.sched_getaffinity(0))
BATCH = 32
LEAST_COSINE = 0.999  # of a frame's features in two backends or precisions


def plain(paths, network, side, mean, std):
    """Features `[n, 512]` of all frames of video files."""
    found, mean, std = [], torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
    for path in paths:
        capture, batch, more = cv2.VideoCapture(str(path)), [], True
        while more:
            more, image = capture.read()
            if more:
                image = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (side, side))
                batch.append((torch.from_numpy(image).permute(2, 0, 1).float() / 255 - mean) / std)
            if batch and (len(batch) == BATCH or not more):
                with torch.no_grad():
                    found.append(network(torch.stack(batch)))
                batch = []
    return torch.cat(found).numpy()


def eager(path):
    """The network as torchvision has it."""
    network = resnet18()
    network.load_state_dict(backbone.read(path)[0])
    network.fc = nn.Identity()
    return network.eval()


def cosine(a, b):
    return ((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min()


def main():
    quick = options(__doc__.splitlines()[0]).quick
    amx = torch.cpu._is_amx_tile_supported()
    settings = SETTINGS["backbone"] | {"threads": THREADS}
    n, repeats = (2 * BATCH, 2) if quick else (8 * BATCH, 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = weights(folder)
        one, network = video(folder, "v", n), eager(path)

        def loop():
            return plain([one[1]], network, settings["input_size"], settings["mean"], settings["std"])

        def ours(embed):
            return extract.video_features(*one, embed, settings)[0]

        installed = ["torch", *(["openvino"] if find_spec("openvino") else [])]
        fast = compute.fast_bf16(compute.prepare(0, THREADS))
        every = {
            (backend, precision): backends.load(path, settings | {"backend": backend, "precision": precision})[0]
            for backend in installed
            for precision in (["fp32", "bf16"] if fast else ["fp32"])
        }
        reference = loop()
        for (backend, precision), embed in every.items():
            near = cosine(ours(embed).astype(np.float32), reference)
            print(f"{backend} {precision}: cosine to the loop's at least {near:.6f} in every frame")
            if near < LEAST_COSINE:
                raise SystemExit(f"{backend} {precision} gives other features")
        if "openvino" not in installed:
            print(f"OpenVINO is not installed and not measured: {backends.EXTRA}")
        for backend in installed:
            embed = backends.load(path, settings | {"backend": backend})[0]  # precision by rule
            ours_s, loop_s = alternate(lambda embed=embed: ours(embed), loop, repeats)
            target = (3 if backend == "torch" else 8) if amx else 1.2
            report(f"features by {backend}, against a plain loop", n / ours_s, n / loop_s, target, "frames/s")
        chosen = backends.choose(settings, compute.device())[:2]
        by_rule = every.pop(chosen)
        print(f"chosen by rule: {' '.join(chosen)} {'' if every else '(nothing else is installed)'}")
        for key, embed in every.items():
            chosen_s, other_s = alternate(lambda: ours(by_rule), lambda embed=embed: ours(embed), repeats)
            claim = f"{' '.join(chosen)}, chosen by rule, against {' '.join(key)}"
            report(claim, n / chosen_s, n / other_s, 0.95, "frames/s")


if __name__ == "__main__":
    main()
