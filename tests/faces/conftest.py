"""Small synthetic videos for the tests of the faces stage."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import yaml
from skimage.data import astronaut

from fedn_pipeline.faces import alignment, crops

SCHEMA = Path(__file__).resolve().parents[2] / "fedn_pipeline" / "config.schema.yaml"


@pytest.fixture(scope="session")
def settings():
    """The defaults of the section `faces`."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    return {key: value["default"] for key, value in schema["properties"]["faces"]["properties"].items()}


@pytest.fixture(scope="session")
def write_video():
    """Function `(path, pictures, codec, fps, options)` that writes RGB pictures as a video."""

    def write(path, pictures, codec="libx264", fps=30, options=None, container_options=None):
        with av.open(str(path), "w", options=container_options or {}) as container:
            stream = container.add_stream(codec, rate=Fraction(fps), options=options or {})
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.codec_context.thread_count = 1
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def numbered():
    """Function `n -> n` pictures `[96, 128, 3]` that tell their own number by position, and differ everywhere."""

    def pictures(n):
        base = np.ascontiguousarray(astronaut()[100:196, 150:278])
        return [np.roll(base, 3 * i, axis=1) for i in range(n)]

    return pictures


@pytest.fixture(scope="session")
def face():
    """A picture of one face, `[240, 240, 3]` uint8 (astronaut, public domain)."""
    return np.ascontiguousarray(astronaut()[0:240, 104:344])


@pytest.fixture(scope="session")
def openface_output(shared_data):
    """Folder of what a real OpenFace wrote for default.wmv."""
    return shared_data / "openface_default"


@dataclass
class Run:
    """What the stage made of one video."""

    source: Path
    summary: dict
    table: pd.DataFrame
    similarities: np.ndarray
    path: Path
    crops: np.ndarray


@pytest.fixture(scope="session")
def default_run(shared_data, real_faces):
    """The stage's output for the real video default.wmv (288 frames)."""
    return _real_run(real_faces, shared_data / "real_videos/default.wmv")


@pytest.fixture(scope="session")
def head_motion_run(shared_data, real_faces):
    """The stage's output for the real video head_motion.avi (842 frames)."""
    return _real_run(real_faces, shared_data / "real_videos/head_motion.avi")


def _real_run(real_faces, source):
    folder, summaries = real_faces
    path = folder / f"crops/{source.stem}{crops.CROPS_SUFFIX}"
    aligned = alignment.read(folder / f"alignment/{source.stem}.csv")
    pictures = np.stack(list(crops.read(path)))
    return Run(source, summaries[source.stem], aligned, alignment.similarities(aligned), path, pictures)
