"""Short videos with photographs of faces that move, and a small bundle of an untrained network."""

from fractions import Fraction

import av
import matplotlib.pyplot as plt
import numpy as np
import pytest
from bundle.conftest import write as write_bundle
from matplotlib.cbook import get_sample_data
from skimage.data import astronaut

N_FRAMES = 45


def film(path, pictures, times_s=None, fps=30, codec="libx264", **options):
    """Write RGB pictures as video, with time stamps of their own if they are given; `options` are the encoder's."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={"g": "10", "bf": "0"} | options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 90_000)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            time_s = number / fps if times_s is None else times_s[number]
            frame.pts, frame.time_base = round(time_s * 90_000), Fraction(1, 90_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def void(path, *identities):
    """Blank elements of a Matroska file, as if its writer had left them out."""
    data = bytearray(path.read_bytes())
    for identity in identities:
        start = data.index(identity)
        size = len(identity) + 1 + (data[start + len(identity)] & 0x7F)
        data[start : start + size] = bytes([0xEC, 0x80 | (size - 2)]) + bytes(size - 2)  # EBML's Void
    path.write_bytes(data)
    return path


@pytest.fixture(scope="session")
def woman():
    """A picture of one face, `[240, 240, 3]` uint8 (astronaut, public domain)."""
    return np.ascontiguousarray(astronaut()[0:240, 104:344])


@pytest.fixture(scope="session")
def man():
    """Another person, `[240, 240, 3]` uint8 (grace_hopper's photograph, public domain)."""
    with get_sample_data("grace_hopper.jpg") as file:
        return np.ascontiguousarray(plt.imread(file)[10:250, 120:360])


@pytest.fixture(scope="session")
def moving(woman):
    """N_FRAMES pictures `[240, 360, 3]` of a face that moves to the right over grey, and is gone for three frames."""
    pictures = np.full((N_FRAMES, 240, 360, 3), 120, dtype=np.uint8)
    for number, picture in enumerate(pictures):
        if number not in range(20, 23):
            picture[:, 2 * number : 2 * number + 240] = woman
    return list(pictures)


@pytest.fixture(scope="session")
def talk(tmp_path_factory, moving):
    return film(tmp_path_factory.mktemp("talk") / "talk.mp4", moving)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """Folder of a bundle whose backbone is the landmark model; its network has learnt nothing of use."""
    return write_bundle(tmp_path_factory.mktemp("bundle"), "blendshapes")
