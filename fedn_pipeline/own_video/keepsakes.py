"""What is kept of a video's pictures while it streams by, for the page: a light copy of it, and pictures of faces.

Both go to temporary files, so that memory does not grow with the video.
"""

import tempfile
from bisect import bisect_left
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from fedn_pipeline import files

TIME_BASE = Fraction(1, 90_000)  # of the copy's time stamps
EVERY = 4  # crops of a face from one picture of it to the next
JPEG_QUALITY = 80


class Proxy:
    """A light H.264 copy of a video in `path`, at a constant rate until `retime`. Used in a `with` block.

    Packet k is frame k: no frame is predicted from a later one.

    `settings` is section `detect`; `expected_s` how long the video should be, which limits the bits per second so that
    a page stays of a size that a browser opens.
    """

    def __init__(self, path, settings, fps, expected_s):
        self._path, self._settings, self._fps, self._expected_s = path, settings, fps, expected_s
        self._stream, self._n_frames = None, 0

    def __enter__(self):
        self._container = av.open(str(self._path), "w", format="mp4")
        return self

    def _open(self, picture):
        height, width = picture.shape[:2]
        scale = min(1, self._settings["proxy_height"] / height)
        self._size = max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
        stream = self._container.add_stream("libx264", rate=max(1, round(self._fps)))
        stream.width, stream.height = self._size
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", TIME_BASE
        stream.codec_context.thread_count = 1
        per_s = round(
            min(8e6 * self._settings["proxy_mb"] / max(self._expected_s, 1), self._settings["proxy_kbit"] * 1e3)
        )
        stream.options = {
            "preset": "superfast", "crf": "28", "bf": "0", "g": "48",
            "maxrate": str(per_s), "bufsize": str(2 * per_s), "x264-params": "rc-lookahead=0:sync-lookahead=0",
        }  # fmt: skip
        return stream

    def add(self, picture):
        """The next picture `[h, w, 3]` uint8 RGB."""
        self._stream = self._stream or self._open(picture)
        small = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        coded = av.VideoFrame.from_ndarray(small, format="rgb24")
        coded.pts, coded.time_base = round(self._n_frames / self._fps / TIME_BASE), TIME_BASE
        self._n_frames += 1
        self._container.mux(self._stream.encode(coded))

    def __exit__(self, kind, *_):
        if self._stream is not None and kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def retime(path, edges_s):
    """Give the frames of a Proxy's file in `path` the times of a video's axis, `edges_s [n_frames + 1]`.

    Nothing is coded anew. Whatever the source's time stamps were, the copy begins at 0 and its frame k at `edges_s[k]`.
    """
    ticks = [round(edge_s / TIME_BASE) for edge_s in edges_s]
    ticks = np.maximum.accumulate(np.array(ticks) - np.arange(len(ticks))) + np.arange(len(ticks))  # no two alike
    with files.scratch(Path(path).with_name("timed.mp4")) as timed:
        with (
            av.open(str(path)) as source,
            av.open(str(timed), "w", format="mp4", options={"movflags": "+faststart"}) as target,
        ):
            coded = source.streams.video[0]
            stream = target.add_stream_from_template(coded)
            stream.time_base = TIME_BASE
            packets = (packet for packet in source.demux(coded) if packet.size)
            for packet, start, end in zip(packets, ticks[:-1], ticks[1:], strict=True):
                packet.stream, packet.time_base = stream, TIME_BASE
                packet.pts = packet.dts = int(start)
                packet.duration = int(end - start)
                target.mux(packet)
        timed.replace(path)


class Faces:
    """Small pictures of faces, JPEG, every EVERY-th crop of each track; in a temporary file while in use (`with`)."""

    def __init__(self, size):
        # By id(track): the track (held, so that its id stays its own), its crops so far, and of those kept the frames
        # and where they lie in the file.
        self._size, self._of_track = size, {}

    def __enter__(self):
        self._file = tempfile.TemporaryFile()
        return self

    def add(self, crop):
        """Keep an embedding.Crop, if its turn has come."""
        track, n_crops, frames, places = self._of_track.get(id(crop.track), (crop.track, 0, [], []))
        self._of_track[id(track)] = track, n_crops + 1, frames, places
        if n_crops % EVERY:
            return
        small = cv2.resize(crop.image[..., ::-1], (self._size, self._size), interpolation=cv2.INTER_AREA)
        _, coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        frames.append(crop.frame)
        places.append((self._file.tell(), len(coded)))
        self._file.write(coded.tobytes())

    def nearest(self, chain, frame):
        """JPEG bytes of the face in the frame of a chain (list of tracks) nearest to `frame`; None without any."""
        candidates = []
        for _, _, frames, places in (self._of_track[id(track)] for track in chain if id(track) in self._of_track):
            after = bisect_left(frames, frame)
            candidates += zip(frames[max(after - 1, 0) : after + 1], places[max(after - 1, 0) : after + 1], strict=True)
        if not candidates:
            return None
        start, length = min(candidates, key=lambda one: abs(one[0] - frame))[1]
        self._file.seek(start)
        return self._file.read(length)

    def __exit__(self, *_):
        self._file.close()
