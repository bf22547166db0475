"""Face crops of one video in one file: warp, write, read.

Last step of the faces stage; read by features and the report. The file is H.264 in RGB (libx264rgb), one picture per
frame of the source, close to lossless and fast to decode. Frames without a face are black: the alignment
table, not the picture, says so. One encoder thread, the bitexact flag and REPEATABLE make the encoder's
bytes repeat from run to run, with SSE4.2, AVX2 and AVX-512 alike.
"""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from fedn_pipeline import files
from fedn_pipeline.faces import geometry
from fedn_pipeline.files import InputError

CROPS_SUFFIX = ".mp4"
ENCODER = "libx264rgb"
# x264's macroblock tree gives other bytes now and then on processors with AVX-512 (4 of 25 runs on a real video).
REPEATABLE = "mbtree=0"
FPS_DENOMINATOR = 1001  # the largest that a video standard uses (29.97 = 30000/1001)


def warp(picture, similarity, size):
    """Crop `[size, size, 3]` uint8 of `picture [h, w, 3]`, bilinear, black outside the picture."""
    return cv2.warpAffine(picture, geometry.matrix(similarity), (size, size), flags=cv2.INTER_LINEAR)


def warped(pictures, similarities, size):
    """Yield a crop per picture; black where the similarity `[n_frames, 4]` is NaN."""
    black = np.zeros((size, size, 3), dtype=np.uint8)
    for picture, similarity in zip(pictures, similarities, strict=True):
        yield warp(picture, similarity, size) if np.isfinite(similarity).all() else black


def scaled(pictures, shown, size):
    """Yield a crop per picture that is a crop already, of any size; black where `shown [n_frames]` is False."""
    black = np.zeros((size, size, 3), dtype=np.uint8)
    for picture, visible in zip(pictures, shown, strict=True):
        if not visible or picture.shape[:2] == (size, size):
            yield picture if visible else black
        else:
            shrinks = max(picture.shape[:2]) > size
            yield cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def write(path, crops, fps, settings):
    """Encode an iterable of crops `[size, size, 3]` uint8 RGB into `path`, whole or not at all."""
    size = settings["crop_size"]
    with files.whole(path) as partial, av.open(str(partial), "w", options={"fflags": "+bitexact"}) as container:
        rate = Fraction(fps).limit_denominator(FPS_DENOMINATOR)
        stream = container.add_stream(ENCODER, rate=rate)
        stream.width, stream.height, stream.pix_fmt = size, size, "rgb24"
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        stream.options = {
            "crf": str(settings["crf"]),
            "preset": "veryfast",
            "tune": "fastdecode",
            "g": str(settings["keyframe_interval"]),
            "x264-params": REPEATABLE,
        }
        for crop in crops:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(crop, format="rgb24")))
        container.mux(stream.encode(None))


def _open(path):
    files.checked(path)
    try:
        container = av.open(str(path), metadata_errors="replace")
        stream = container.streams.video[0]
    except (OSError, av.error.FFmpegError, IndexError) as error:
        raise InputError(f"{path}: cannot be read as a crops file ({error})") from error
    if stream.codec_context is None or not (stream.average_rate and stream.time_base):
        container.close()
        raise InputError(f"{path}: a damaged crops file: no decoder or no frame rate; make the file again")
    stream.codec_context.thread_count = 1
    return container, stream


def _is_empty(path):
    """Whether this is the file of a video left out (summary.py); a damaged one is told by its checksum."""
    return Path(path).is_file() and not files.checked(path).stat().st_size


def n_frames(path):
    """Number of crops that the file announces."""
    if _is_empty(path):
        return 0
    container, stream = _open(path)
    with container:
        return stream.frames


def read(path):
    """Yield each crop of a file, uint8 `[size, size, 3]` RGB; none of an empty file (a video left out).

    Raises InputError if it is damaged or cut short.
    """
    if _is_empty(path):
        return
    container, stream = _open(path)
    count = 0
    with container:
        try:
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise InputError(f"{path}: crop {count} is damaged; make the file again")
                yield frame.to_ndarray(format="rgb24", threads=1)
                count += 1
        except av.error.FFmpegError as error:
            raise InputError(f"{path}: crop {count} cannot be decoded; make the file again") from error
        if count != stream.frames:
            raise InputError(f"{path}: {count} crops, but its header says {stream.frames}; make the file again")


def read_frames(path, indices):
    """Crops `[k, size, size, 3]` uint8 of the frames `indices` (any order, repeats allowed), by seeking."""
    indices = [int(index) for index in indices]
    container, stream = _open(path)
    found = {}
    with container:
        outside = [index for index in indices if not 0 <= index < stream.frames]
        if outside:
            raise InputError(f"{path}: frame {outside[0]} is not one of its {stream.frames} crops")
        ticks = 1 / (stream.average_rate * stream.time_base)  # per frame
        for index in sorted(set(indices)):
            if index not in found:
                try:
                    found |= _read_from(container, stream, index, ticks, set(indices))
                except av.error.FFmpegError as error:
                    raise InputError(f"{path}: crop {index} cannot be decoded; make the file again") from error
            if index not in found:
                raise InputError(f"{path}: crop {index} is not in its place; make the file again")
    return np.stack([found[index] for index in indices])


def _read_from(container, stream, index, ticks, wanted):
    """Decode from the key frame before `index` up to it; every wanted crop on the way, by frame, as far as it goes."""
    container.seek(round(index * ticks), stream=stream, backward=True)
    found = {}
    for frame in container.decode(stream):
        if frame.pts is None or frame.is_corrupt:
            break
        position = round(frame.pts / ticks)
        if position in wanted:
            found[position] = frame.to_ndarray(format="rgb24", threads=1)
        if position >= index:
            break
    return found
