"""Mutated videos and folders of images: each is refused by name, or gives whole pictures and marks what is damaged."""

import numpy as np
import pytest
import seeds
from fuzzing import Child, check_mutated
from hypothesis import strategies as st
from mutations import byte_edits, edited, mostly
from skimage.data import astronaut

from fedn_pipeline.faces import video

SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".wmv", ".webm", ".MP4", ".m4v", ".mpg", ".ts", ".dat", "")
# Edits that change bytes and move none.
SMALL = {"flip", "flip early", "number", "number early", "field", "field flip", "shift"}
STANDARD_RATES = (24000 / 1001, 25, 30000 / 1001, 30)
# Encoder, pixel format, container, what sides must be a multiple of, and the grey levels by which it may differ.
ODD_FORMATS = (
    ("libx264", "yuv420p", ".mp4", 2, 14), ("libx264", "yuv444p", ".mp4", 1, 14), ("libx264", "gray", ".mkv", 1, 14),
    ("libx264", "yuv420p10le", ".mkv", 2, 14), ("libx264", "yuvj420p", ".mov", 2, 14),
    ("libx265", "yuv420p10le", ".mp4", 8, 14), ("prores", "yuv422p10le", ".mov", 2, 14),
    ("ffv1", "gray", ".mkv", 1, 3), ("ffv1", "gray16le", ".mkv", 1, 3), ("ffv1", "yuv444p10le", ".avi", 1, 3),
    ("ffv1", "yuv420p", ".mkv", 1, 14), ("ffv1", "bgr0", ".mkv", 1, 1), ("mjpeg", "yuvj420p", ".avi", 1, 14),
    ("mjpeg", "yuvj444p", ".mov", 1, 14), ("libvpx-vp9", "yuv420p", ".webm", 1, 14),
    ("mpeg4", "yuv420p", ".avi", 1, 14), ("png", "rgb24", ".mov", 1, 0), ("png", "rgba", ".mov", 1, 0),
    ("png", "gray", ".mov", 1, 0), ("rawvideo", "bgr24", ".avi", 1, 0), ("huffyuv", "yuv422p", ".avi", 2, 6),
    ("wmv2", "yuv420p", ".wmv", 2, 14), ("libx264rgb", "rgb24", ".mp4", 1, 14),
    ("mpeg2video", "yuv420p", ".mpg", 1, 14),
)  # fmt: skip


@pytest.fixture(scope="module")
def child():
    with Child("video_readers") as child:
        yield child


@pytest.fixture(scope="session")
def video_seeds(tmp_path_factory):
    """`({name: bytes}, {name: (frames, file of its decoded pictures)})`; files that are no videos have only bytes."""
    folder = tmp_path_factory.mktemp("video_seeds")
    paths, known = seeds.videos(folder), {}
    for name, path in paths.items():
        np.save(folder / f"{name}.npy", list(video.frames(path)))
        known[name] = seeds.N_FRAMES, str(folder / f"{name}.npy")
    paths |= seeds.other_files(folder)
    return {name: path.read_bytes() for name, path in paths.items()}, known


def test_damaged_videos(video_seeds, child, full, tmp_path, record_property):
    data, known = video_seeds
    names = [*known] * 4 + [name for name in data if name not in known]
    splice = st.tuples(st.sampled_from([*known]), st.integers(1, 2**20))

    def make(example, folder):
        name, edits, suffix, spliced = example
        content = data[name]
        if spliced:  # the head of one file on the body of another
            other, share = spliced
            content = content[: share * len(content) >> 20] + data[other][share * len(data[other]) >> 20 :]
        path = folder / f"video{suffix if suffix is not None else '.' + name.rpartition('.')[2]}"
        path.write_bytes(edited(content, edits))
        found = {"path": str(path), "names": [path.name]}
        if name in known and not spliced and {kind for kind, *_ in edits} <= SMALL:
            found["n_frames"], found["pictures"] = known[name]
        return found

    strategy = st.tuples(
        st.sampled_from(names),
        byte_edits(seeds.MARKERS),
        mostly(st.none(), st.sampled_from(SUFFIXES), 3),
        mostly(st.none(), splice, 8),
    )
    check_mutated("videos, damaged", child, "video", 1000 if full else 60, strategy, make, tmp_path, record_property)


def test_sound_videos_in_odd_formats(child, full, tmp_path, record_property):
    def make(example, folder):
        (codec, pix_fmt, suffix, step, tolerance), n, height, width, fps, quarter_turns, steps, large = example
        if large:
            n, height, width = 1 + n % 2, *((2160, 3840) if large == "wide" else (3840, 2160))
        if codec in ("wmv2", "mpeg2video") and fps not in STANDARD_RATES:  # these know no other
            fps = 25
        if suffix == ".wmv":  # the encoder gives a file of one frame a length of one second
            n = max(n, 2)
        height, width = max(height // step, 1) * step, max(width // step, 1) * step
        shown = seeds.pictures(n, height, width)
        if "gray" in pix_fmt:
            shown = np.repeat(shown[..., 1:2], 3, axis=-1)
        times = np.cumsum(steps[:n]) if steps and suffix in (".mp4", ".mkv", ".mov") else None
        if times is not None and n > 3:
            fps = 1000 * (n - 1) / (times[-1] - times[0])
        path = folder / f"video{suffix}"
        seeds.write_video(path, shown, codec, pix_fmt, fps=fps if times is None else 30, times=times)
        if suffix in (".mp4", ".mov"):
            path.write_bytes(seeds.turned(path.read_bytes(), quarter_turns))
            shown = np.rot90(shown, -quarter_turns, axes=(1, 2))
        np.save(folder / "pictures.npy", shown)
        # MP4's mean rate counts the time that its last frame is shown, much of so short a file.
        arguments = {"path": str(path), "pictures": str(folder / "pictures.npy"), "names": [path.name]}
        return arguments | {"tolerance": tolerance, "fps": fps if n > 3 else 0, "fps_tolerance": 3 if steps else 1.01}

    side = st.integers(24, 200)
    strategy = st.tuples(
        st.sampled_from(ODD_FORMATS),
        mostly(st.integers(2, 9), st.just(1), 6),
        side,
        side,
        st.sampled_from((1, 10, *STANDARD_RATES, 120, 200)),
        st.integers(0, 3),
        mostly(st.none(), st.lists(st.integers(5, 400), min_size=12, max_size=12), 3),
        st.sampled_from([None] * 200 + ["wide", "high"]),
    )
    counts = check_mutated(
        "videos, sound", child, "sound_video", 1000 if full else 40, strategy, make, tmp_path, record_property
    )
    assert not counts["refused"]


def test_faces_of_damaged_videos(child, full, tmp_path, record_property):
    """The whole stage, aligner and crops, on a face that moves."""
    face = np.ascontiguousarray(astronaut()[0:240, 104:344])
    shown = np.full((16, 240, 288, 3), 120, np.uint8)
    for i, picture in enumerate(shown):
        picture[:, 2 * i : 2 * i + 240] = face
    path = seeds.write_video(tmp_path / "face.mp4", shown, "libx264", "yuv420p", {"g": "8"})
    data = path.read_bytes()

    def make(edits, folder):
        (folder / path.name).write_bytes(edited(data, edits))
        return {"path": str(folder / path.name), "folder": str(folder / "out"), "names": [path.name]}

    n, strategy = 100 if full else 4, byte_edits(seeds.MARKERS, max_size=2)
    check_mutated("videos, stage faces", child, "faces", n, strategy, make, tmp_path, record_property)
