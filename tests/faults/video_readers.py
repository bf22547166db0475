"""What the child process of the fuzzer runs on videos and folders of images.

A function returns if the reader accepted the input and gave what stands in it, lets its InputError through, and raises
Wrong for a result that another, simpler reading of the same file contradicts. Arguments are paths and plain values.
"""

import av
import numpy as np
from fuzzing import Wrong, agree


def _announced(path):
    """`(packets that a plain reading finds, frames that the header announces)` of the first video stream."""
    with av.open(path, metadata_errors="replace") as container:
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


ALIKE, UNLIKE = 2, 6  # grey levels: the same picture, and certainly another


def _moved(found, reference):
    """The first place at which another picture of `reference` than its own is shown, or None; both thinned out."""
    for place, picture in found:
        differences = np.abs(reference - picture).mean(axis=(1, 2, 3))
        if differences.min() < ALIKE and (place >= len(reference) or differences[place] > UNLIKE):
            return place, int(differences.argmin())
    return None


def video(path, n_frames=None, pictures=None):
    """video.probe and video.frames. Where the damage was small (bytes changed, none moved), `n_frames` are in the file
    and `pictures` (.npy `[n, h, w, 3]`) shows them: each that is not marked must still stand in its place.
    """
    from fedn_pipeline.faces import video as reader

    info = reader.probe(path)
    count, kept = 0, []
    for picture in reader.frames(path, info):
        if not info.damaged[count]:
            kept.append((count, picture[::4, ::4].astype(np.int16)))
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
    if pictures is not None:
        reference = np.load(pictures)[:, ::4, ::4].astype(np.int16)
        moved = _moved(kept, reference) if kept and kept[0][1].shape == reference.shape[1:] else None
        # What a damaged length has swallowed leaves no trace but the count, of which the user is told.
        if moved and not any("have moved up" in warning for warning in info.warnings()):
            raise Wrong(f"frame {moved[0]} shows picture {moved[1]}; {info.warnings()}")
    return f"{count} frames, {info.n_damaged} damaged"


def sound_video(path, pictures, tolerance, fps, fps_tolerance):
    """An undamaged video must give the pictures in the file `pictures` (.npy `[n, h, w, 3]`), each in its place."""
    from fedn_pipeline.faces import video as reader

    expected = np.load(pictures).astype(np.int16)
    info = reader.probe(path)
    agree(info.warnings(), [], "warnings about a sound file")
    agree((info.n_frames, info.height, info.width), expected.shape[:3], "frames and size")
    if fps and not 1 / fps_tolerance < info.fps / fps < fps_tolerance:
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
