"""One door to a source's pictures: a video file (video.py) or a folder of numbered images (images.py).

First step of the faces stage. Both give the same frame axis: `n_frames`, `fps`, which frames are damaged, and one RGB
picture per frame. They differ in `info.filled`: in a folder a frame without a usable image counts as one (the picture
that stands in is looked at), in a file it is a frame without a face.
"""

from pathlib import Path

from fedn_pipeline.faces import images, video
from fedn_pipeline.files import InputError

CHUNK = 2**20


def probe(path, fps=None, first_number=None):
    """VideoInfo or ImagesInfo of `path`, after one pass over all of it; `fps` and `first_number` are for folders.

    Raises InputError for what is neither, or cannot be decoded, and for a folder without `fps`.
    """
    if Path(path).is_dir():
        return images.probe(path, fps, first_number)
    if not Path(path).exists():
        raise InputError(f"{path}: no such video file or folder of images")
    return video.probe(path)


def read_through(path):
    """Read every byte of a source, decoding nothing. Raises OSError where the disk does not give them."""
    for file in sorted(Path(path).iterdir()) if Path(path).is_dir() else [Path(path)]:
        if not file.is_dir():
            with open(file, "rb") as opened:
                while opened.read(CHUNK):
                    continue


def frames(path, info):
    """Yield each frame of `path` as RGB uint8 `[height, width, 3]`; `info` is `probe`'s. One is held at a time."""
    if isinstance(info, images.ImagesInfo):
        return images.frames(info)
    return video.frames(path, info)
