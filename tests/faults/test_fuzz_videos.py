"""Mutated videos and folders of images: each is refused by name, or gives whole pictures and marks what is damaged."""

import numpy as np
import pytest
import seeds
from fuzzing import campaign
from hypothesis import strategies as st
from mutations import byte_edits, edited

SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".wmv", ".webm", ".MP4", ".m4v", ".mpg", ".ts", ".dat", "")
KEEPS_LENGTH = {
    "flip",
    "flip early",
    "number",
    "number early",
    "noise",
    "zeros",
    "copy",
    "field",
    "field flip",
    "shift",
}


@pytest.fixture(scope="session")
def video_seeds(tmp_path_factory):
    """`(names, {name: bytes}, {name: frames})` of sound videos, and of files that are none (0 frames)."""
    folder = tmp_path_factory.mktemp("video_seeds")
    paths = seeds.videos(folder)
    n_frames = dict.fromkeys(paths, seeds.N_FRAMES)
    paths |= seeds.other_files(folder)
    return {name: path.read_bytes() for name, path in paths.items()}, n_frames


def test_damaged_videos(video_seeds, full, tmp_path, record_property):
    data, n_frames = video_seeds
    names = [*n_frames] * 4 + [name for name in data if name not in n_frames]
    splice = st.tuples(st.sampled_from([*n_frames]), st.integers(1, 2**20))

    def make(example, folder):
        name, edits, suffix, spliced = example
        content = data[name]
        if spliced:  # the head of one file on the body of another
            other, share = spliced
            content = content[: share * len(content) >> 20] + data[other][share * len(data[other]) >> 20 :]
        path = folder / f"video{suffix if suffix is not None else '.' + name.rpartition('.')[2]}"
        path.write_bytes(edited(content, edits))
        return {"path": str(path), "names": [path.name]}

    strategy = st.tuples(
        st.sampled_from(names),
        byte_edits(seeds.MARKERS),
        st.one_of(st.none(), st.none(), st.sampled_from(SUFFIXES)),
        st.one_of(*[st.none()] * 7, splice),
    )
    campaign("videos, damaged", "readers.video", 1000 if full else 60, strategy, make, tmp_path, record_property)
