"""Memory of `fedn-pipeline detect` on long videos: what it holds of each frame, projected to two hours.

    python benchmarks/long_video.py [--quick]

A video of 160x120 at 30 frames per second. MediaPipe is loaded and used once, but a stand-in answers for it, since its
memory does not grow and its time would: one face that jitters, random expressions. Each length runs in a process of its
own; two hours are projected from the two (docs/viewer.md has two hours measured). `--quick`: a tenth of the frames.
"""

import multiprocessing
import resource
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import skimage.data
from common import options, report
from own_video import FPS, untrained

from fedn_pipeline import config
from fedn_pipeline.faces import landmarks
from fedn_pipeline.own_video import detect

HEIGHT, WIDTH = 120, 160
LENGTHS = 9_000, 36_000  # frames
TWO_HOURS = 2 * 3600 * FPS
LIMIT_GIB = 3.0
GIB = 2**20  # in kilobytes, the unit of ru_maxrss


class StandIn:
    """A Landmarker that sees one face without looking."""

    def __init__(self, *_, **__):
        self.random = np.random.default_rng(0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def detect(self, _):
        return [StandIn.mesh + self.random.normal(0, 0.1, StandIn.mesh.shape)]

    def expression(self, _):
        return self.random.random(52), np.eye(4)


def write_video(path, n_frames):
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options={"preset": "ultrafast", "crf": "35"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in range(n_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(noise, frame % 8, 1), format="rgb24")))
        container.mux(stream.encode(None))


def peak_gib(n_frames):
    """Peak memory of this process after one video of so many frames."""
    photograph = skimage.data.astronaut()
    with landmarks.Landmarker(1, 0.5, video=True) as real:
        StandIn.mesh = real.detect(photograph)[0] * (HEIGHT / len(photograph))
    landmarks.Landmarker = StandIn
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "long.mp4"
        write_video(path, n_frames)
        section = config.validate({})["detect"]
        detect.run(path, "long", untrained(), Path(name) / "seen", section, progress=False)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB


def main():
    share = 0.1 if options(__doc__.splitlines()[0]).quick else 1
    lengths = [round(share * n_frames) for n_frames in LENGTHS]
    context = multiprocessing.get_context("spawn")
    peaks = []
    for n_frames in lengths:
        with context.Pool(1) as pool:
            peaks.append(pool.apply(peak_gib, (n_frames,)))
        print(f"{n_frames:7} frames: peak {peaks[-1]:.3f} GiB")
    growth = (peaks[1] - peaks[0]) / (lengths[1] - lengths[0])
    projected = peaks[1] + growth * (TWO_HOURS - lengths[1])
    print(f"{TWO_HOURS:7} frames: projected, {1e6 * growth:.2f} GiB for a million more frames")
    report("two hours of video, projected, against its limit", LIMIT_GIB, projected, 1.0, "GiB")


if __name__ == "__main__":
    main()
