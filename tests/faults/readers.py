"""What the child process of the fuzzer runs: one function per reader, each with an independent reading beside it.

A function returns if the reader accepted the input and gave what stands in it, lets its InputError through, and raises
Wrong for a result that another, simpler reading of the same file contradicts. Arguments are paths and plain values.
"""

import av
import numpy as np
from fuzzing import Wrong


def agree(found, expected, what):
    """Raise Wrong unless both are equal."""
    if found != expected:
        raise Wrong(f"{what}: {found!r:.300}, but the file says {expected!r:.300}")


# Videos


def _announced(path):
    """`(packets that a plain reading finds, frames that the header announces)` of the first video stream."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        n, header = 0, stream.frames
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                break
            if packet is None:
                break
            n += bool(packet.size) and not packet.is_discard
    return n, header


def video(path, n_frames=None):
    """video.probe and video.frames; `n_frames` are in the file before it was damaged (None: pieces are missing)."""
    from fedn_pipeline.faces import video as reader

    info = reader.probe(path)
    count = 0
    for picture in reader.frames(path, info):
        count += 1
        if picture.shape != (info.height, info.width, 3) or picture.dtype != np.uint8:
            raise Wrong(
                f"picture {count - 1} is {picture.shape} {picture.dtype}, announced {info.height}, {info.width}"
            )
    agree(count, info.n_frames, "pictures")
    agree((len(info.damaged), len(info.missing)), (count, count), "marks")
    if (info.missing & ~info.damaged).any() or not np.isfinite(info.fps) or info.fps <= 0:
        raise Wrong(f"fps {info.fps}, or a frame that is missing but not damaged")
    if not info.warnings():
        n_packets, header = _announced(path)
        if count < n_packets or count < header:
            raise Wrong(f"{count} frames without a warning, but {n_packets} packets and {header} in the header")
        if n_frames is not None:
            agree(count, n_frames, "frames, without a warning")
    return f"{count} frames, {info.n_damaged} damaged"


def sound_video(path, pictures, tolerance, fps):
    """An undamaged video must give the pictures in the file `pictures` (.npy `[n, h, w, 3]`), each in its place."""
    from fedn_pipeline.faces import video as reader

    expected = np.load(pictures).astype(np.int16)
    info = reader.probe(path)
    agree(info.warnings(), [], "warnings about a sound file")
    agree((info.n_frames, info.height, info.width), expected.shape[:3], "frames and size")
    if fps and abs(info.fps - fps) > 0.01 * fps:
        raise Wrong(f"{info.fps} fps, encoded as {fps}")
    for i, picture in enumerate(reader.frames(path, info)):
        difference = np.abs(picture - expected[i]).mean()
        if difference > tolerance:
            raise Wrong(f"frame {i} differs by {difference:.1f} grey levels from what was encoded")
    return "as encoded"


def faces(path, folder):
    """The command `faces` on a video: both files are whole and as long as the video, or neither is there."""
    from pathlib import Path

    from fedn_pipeline import config
    from fedn_pipeline.faces import align, alignment, crops

    table, film = Path(folder) / "alignment.csv", Path(folder) / "crops.mp4"
    summary = align.process(path, table, film, config.validate({}), progress=False)
    agree(len(alignment.read(table)), summary["n_frames"], "rows")
    agree(sum(1 for _ in crops.read(film)), summary["n_frames"], "crops")
    return f"{summary['n_frames']} frames"
