"""Folders of somebody's own videos for the tests: tiny films and images, events.csv, and how to read them."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from fedn_pipeline import config
from fedn_pipeline.dataset import custom
from fedn_pipeline.files import InputError

SIZE = (64, 48)


VARIABLE_S = [*np.arange(60) / 30, *(2 + np.arange(60) / 10)]  # the frames of a variable rate: the camera grew slow
TICK_S = Fraction(1, 30_000)


def write_video(path, n_frames=30, fps=30, times_s=None):
    """A film, with time stamps of its own if they are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(fps))
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        if times_s is not None:
            stream.codec_context.time_base = TICK_S
        for number, value in enumerate(np.linspace(0, 200, n_frames).astype(np.uint8)):
            frame = av.VideoFrame.from_ndarray(np.full((SIZE[1], SIZE[0], 3), value, np.uint8), format="rgb24")
            if times_s is not None:
                frame.pts, frame.time_base = round(times_s[number] / TICK_S), TICK_S
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_variable(path):
    write_video(path, len(VARIABLE_S), times_s=VARIABLE_S)


def write_images(folder, numbers, name="{}.png"):
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / name.format(number)), np.full((SIZE[1], SIZE[0]), 99, np.uint8))


def read(root, annotations_only=False, **settings):
    return custom.read(root, config.validate({"dataset": settings})["dataset"], annotations_only)


def refusals(root, **arguments):
    """The lines of the InputError, without the folder."""
    with pytest.raises(InputError) as error:
        read(root, **arguments)
    lines = str(error.value).splitlines()
    return [line.replace(f"{root}/", "").replace(f"{root}: ", "") for line in lines if not line.startswith("(")]


def by_id(release):
    return release.videos.set_index("video_id")


def rules(release):
    return sorted(release.issues["rule"])


def write_events(root, rows, header="video_id,onset,offset,emotion"):
    (root / "events.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def two_subjects(root):
    """Two subjects' folders with a video each, 30 frames at 30 fps and 60 at 15."""
    write_video(root / "anna/smile.mp4")
    write_video(root / "ben/talk.avi", 60, 15)
    return root
