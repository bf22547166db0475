"""Features of a video, read while the network runs, against the slower of reading and network by itself.

    python benchmarks/streaming.py [--quick]

Once with the default size of picture, where the network is the slower by far, and once with a small one, where reading
weighs as much. One thread reads, one computes. `--quick` takes fewer frames.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import skimage.data
import torch
from common import alternate, options, report, seconds
from torchvision.models import resnet18

from fedn_pipeline import config
from fedn_pipeline.faces import alignment, crops
from fedn_pipeline.features import backbone, backends, extract

SETTINGS = config.validate({})
FACE = (225.0, 125.0, 1.5)  # of the photograph: its centre and how much larger a crop shows it
SIZES = {SETTINGS["backbone"]["input_size"]: (64, 320), 32: (640, 3200)}  # frames with and without --quick


def weights(folder):
    """A file of random weights: the speed does not depend on them."""
    torch.manual_seed(0)
    path = folder / "random.safetensors"
    backbone.save(path, resnet18().state_dict(), {"origin": "random"})
    return path


def video(folder, name, n_frames):
    """A face that moves a little, as the faces stage leaves it: `(row of videos.csv, path of crops, of alignment)`."""
    random, size = np.random.default_rng(0), SETTINGS["faces"]["crop_size"]
    photograph, (x, y, scale) = skimage.data.astronaut(), FACE
    centres = np.array([x, y]) + random.normal(0, 0.5, (n_frames, 2)).cumsum(axis=0) % 8
    similarities = np.column_stack([np.full(n_frames, scale), np.zeros(n_frames), size / 2 - scale * centres])
    noise = random.integers(-2, 3, (size, 2 * size, 3))
    shifts = random.integers(0, size, n_frames)
    shown = crops.warped([photograph] * n_frames, similarities, size)
    grainy = (
        np.clip(image + noise[:, start : start + size], 0, 255).astype(np.uint8)
        for image, start in zip(shown, shifts, strict=True)
    )
    paths = folder / f"crops/{name}{crops.CROPS_SUFFIX}", folder / f"alignment/{name}.csv"
    crops.write(paths[0], grainy, 30.0, SETTINGS["faces"])
    status, sound = np.full(n_frames, "tracked", dtype=object), np.zeros(n_frames, dtype=bool)
    alignment.write(paths[1], alignment.table(np.zeros((n_frames, 68, 2)), similarities, status, sound))
    rows = pd.DataFrame([{"video_id": name, "n_frames": n_frames, "fps": 30.0}])
    return next(rows.itertuples()), *paths


def main():
    quick = options(__doc__.splitlines()[0]).quick
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = weights(folder)
        for side, numbers in SIZES.items():
            n = numbers[0] if quick else numbers[1]
            one = video(folder, f"v{side}", n)
            settings = SETTINGS["backbone"] | {"input_size": side}
            embed, backend, precision = backends.load(path, settings)

            def batches(crops_path=one[1], n=n, side=side):
                return extract.batches(
                    extract.pictures(crops_path, [True] * n, side), SETTINGS["backbone"]["batch_size"]
                )

            held = list(batches())
            parts = {
                "reading": lambda batches=batches: [len(batch) for batch in batches()],
                "network": lambda held=held, embed=embed: [embed(batch) for batch in held],
            }
            embed(held[0])
            alone = {part: seconds(run) for part, run in parts.items()}
            print(
                f"{side} px, {backend} {precision}: " + ", ".join(f"{p} {n / s:.4g} frames/s" for p, s in alone.items())
            )
            slowest = max(alone, key=alone.get)
            whole_s, part_s = alternate(
                lambda one=one, embed=embed, settings=settings: extract.video_features(*one, embed, settings),
                parts[slowest],
                2 if quick else 5,
            )
            report(f"features at {side} px, against {slowest} alone", n / whole_s, n / part_s, 0.9, "frames/s")


if __name__ == "__main__":
    main()
