"""`fedn-pipeline detect` from file to page, against real time, and against the slowest of its parts by itself.

    python benchmarks/own_video.py [--quick]

A video of 640x480 at 30 frames per second, H.264, one moving face; the default model's backbone (blendshapes) and size
of network, its weights random: the speed does not depend on them. Parts: decoding with the page's light copy,
landmarks, reading expressions from crops. `--quick` takes 10 seconds of video instead of a minute.
"""

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import skimage.data
import torch
from common import options, report, seconds

from fedn_pipeline import config
from fedn_pipeline.bundle.load import Bundle
from fedn_pipeline.faces import crops, following, landmarks, video
from fedn_pipeline.features import blendshapes
from fedn_pipeline.model import fedn, outputs
from fedn_pipeline.own_video import detect, keepsakes

EXPERIMENT = "blendshapes_by_photograph"
CLASSES = ["anger", "disgust", "happiness", "surprise"]
FPS, HEIGHT, WIDTH = 30, 480, 640


def write_video(path, n_frames):
    """A photograph that moves as a person before a camera does."""
    random, photograph = np.random.default_rng(0), skimage.data.astronaut()[:HEIGHT]
    moves = np.clip(random.normal(0, 2, (n_frames, 2)).cumsum(axis=0) * 0.3, -60, 60).astype(int)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for x, y in moves:
            picture = np.full((HEIGHT, WIDTH, 3), 110, dtype=np.int16)
            picture[:, 64:576] = np.roll(photograph, (y, x), axis=(0, 1))
            noisy = np.clip(picture + random.integers(-3, 4, picture.shape), 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        container.mux(stream.encode(None))


def untrained():
    """A bundle like the default one, not from a file."""
    settings = config.resolve("config", "demo", EXPERIMENT)
    network, _ = fedn.build(settings, len(CLASSES))
    names = outputs.names(CLASSES, settings["model"])
    said = {"experiment": EXPERIMENT, "dataset": "none", "description": "untrained", "quality": {"of": "nothing"}}
    description = said | {"backbone": {"network": blendshapes.NAME}}
    return Bundle(network.eval().requires_grad_(False), CLASSES, names, settings, 0.5, description, None)


def main():
    n_frames = FPS * (10 if options(__doc__.splitlines()[0]).quick else 60)
    torch.manual_seed(0)
    bundle = untrained()
    faces, section = bundle.settings["faces"], config.validate({})["detect"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "minute.mp4"
        write_video(path, n_frames)

        def decoding():
            with keepsakes.Proxy(folder / "proxy.mp4", section, FPS, n_frames / FPS) as copy:
                for picture, _ in video.Reader(path).pictures():
                    copy.add(picture)

        pictures = [picture for picture, _ in video.Reader(path).pictures()][: n_frames // 4]
        with (
            landmarks.Landmarker(faces["max_faces"], faces["min_confidence"], video=True) as landmarker,
            landmarks.Landmarker(1, faces["min_confidence"], video=False, expressions=True) as reader,
        ):
            found = [following.Face.from_mesh(one, landmarker.detect(one)[0], faces["crop_size"]) for one in pictures]
            held = [
                (crops.warp(picture, face.similarity, faces["crop_size"]), face.similarity)
                for picture, face in zip(pictures, found, strict=True)
            ]
            share = len(pictures) / n_frames
            alone = {
                "decoding and copy": seconds(decoding),
                "landmarks": seconds(lambda: [landmarker.detect(picture) for picture in pictures]) / share,
                "expressions": seconds(lambda: [blendshapes.look(reader, *crop) for crop in held]) / share,
            }
        for part, taken in alone.items():
            print(f"{part:18} {n_frames / taken:7.1f} frames/s by itself")
        detect.run(path, "minute", bundle, folder / "warm", section, progress=False)
        whole = seconds(lambda: detect.run(path, "minute", bundle, folder / "seen", section, progress=False))
        report("detect, from file to page, against real time", n_frames / whole, float(FPS), 1.5, "frames/s")
        slowest = max(alone.values())
        report("detect against its slowest part alone", n_frames / whole, n_frames / slowest, 0.8, "frames/s")


if __name__ == "__main__":
    main()
