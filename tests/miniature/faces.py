"""Frames of demo faces that show exactly the planted expressions: as JPEG files in memory, or as a video file.

Between plan.py and the writers of the releases. The renderer is the demo's; portrait and drifts depend on the person
alone.
"""

from fractions import Fraction

import av
import cv2
import numpy as np

from fedn_pipeline import config
from fedn_pipeline.dataset.demo.animation import add_action, resting
from fedn_pipeline.dataset.demo.planning import PHOTOGRAPHS, RECIPES, Action
from fedn_pipeline.dataset.demo.portraits import make_portrait
from fedn_pipeline.dataset.demo.rendering import Renderer

from .plan import blink

JPEG_QUALITY = 90


def pictures(person, expressions, n_frames, fps, size):
    """Yield planar YUV 4:2:0 frames `[height * 3 / 2, width] uint8` of person 0, 1, ... before one camera."""
    settings = config.validate({})["demo"] | {"width": size[0], "height": size[1]}
    portrait = make_portrait(settings, PHOTOGRAPHS[person % len(PHOTOGRAPHS)], np.random.default_rng([11, person]))
    renderer = Renderer(settings, portrait)
    motion = resting(n_frames, fps, np.random.default_rng([12, person]))
    for i, e in enumerate(expressions):
        weights = {unit: e.strength * bounds[1] for unit, bounds in RECIPES[e.kind].items()}
        add_action(motion, Action(e.kind, e.onset, e.apex, e.offset, e.strength, weights, 0.0, i), fps)
    add_action(motion, Action("blink", *_with_apex(blink(n_frames, fps)), 1.0, {}, 0.0, 0), fps)
    noise = np.random.default_rng([13, person])
    for i in range(n_frames):
        units = {unit: curve[i] for unit, curve in motion.units.items()}
        yield renderer.frame(units, motion.pose[i], motion.light[i], noise)


def jpegs(person, expressions, n_frames, fps, size, grey=False):
    """The clip's frames as encoded JPEG files, a list of bytes."""
    encoded = []
    for picture in pictures(person, expressions, n_frames, fps, size):
        picture = picture[: size[1]] if grey else cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_I420)
        encoded.append(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
    return encoded


def write_images(folder, encoded, name, skipped=()):
    """One file per frame index, `name(index)`, without the indices in `skipped`."""
    folder.mkdir(parents=True)
    for i, content in enumerate(encoded):
        if i not in skipped:
            (folder / name(i)).write_bytes(content)


def write_video(path, frames, fps):
    """Planar YUV 4:2:0 frames as H.264."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"preset": "ultrafast", "crf": "20"})
        stream.height, stream.width = frames[0].shape[0] * 2 // 3, frames[0].shape[1]
        stream.pix_fmt = "yuv420p"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        container.mux(stream.encode(None))


def _with_apex(interval):
    return interval[0], None, interval[1]
