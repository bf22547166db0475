"""What is kept of a video's pictures while it streams by, for the page: a light copy of it, and pictures of faces.

Both go to temporary files, so that memory does not grow with the video.
"""

import tempfile
from fractions import Fraction

import av
import cv2

TIME_BASE = Fraction(1, 90_000)  # of the copy's time stamps
EVERY = 4  # frames from one picture of a face to the next
JPEG_QUALITY = 80


class Proxy:
    """A light H.264 copy of a video in `path`: each frame with its own time stamp. Used in a `with` block.

    `settings` is section `detect`; `expected_s` how long the video should be, which limits the bits per second so that
    a page stays of a size that a browser opens.
    """

    def __init__(self, path, settings, fps, expected_s):
        self._path, self._settings, self._fps, self._expected_s = path, settings, fps, expected_s
        self._stream, self._last = None, -1

    def __enter__(self):
        self._container = av.open(str(self._path), "w", format="mp4", options={"movflags": "+faststart"})
        return self

    def _open(self, picture):
        height, width = picture.shape[:2]
        scale = min(1, self._settings["proxy_height"] / height)
        self._size = max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
        stream = self._container.add_stream("libx264", rate=Fraction(self._fps).limit_denominator(1001))
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

    def add(self, frame, picture, time_s):
        """The next picture `[h, w, 3]` uint8 RGB, shown at `time_s` (None: by the frame rate)."""
        self._stream = self._stream or self._open(picture)
        small = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        coded = av.VideoFrame.from_ndarray(small, format="rgb24")
        time_s = frame / self._fps if time_s is None else time_s
        coded.pts, coded.time_base = max(round(time_s / TIME_BASE), self._last + 1), TIME_BASE
        self._last = coded.pts
        self._container.mux(self._stream.encode(coded))

    def __exit__(self, kind, *_):
        if self._stream is not None and kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


class Faces:
    """Small pictures of faces, JPEG, by track and frame (every EVERY-th); in a temporary file while in use (`with`)."""

    def __init__(self, size):
        self._size, self._places = size, {}

    def __enter__(self):
        self._file = tempfile.TemporaryFile()
        return self

    def add(self, crop):
        """Keep an embedding.Crop, if its frame's turn has come."""
        if crop.frame % EVERY:
            return
        small = cv2.resize(crop.image[..., ::-1], (self._size, self._size), interpolation=cv2.INTER_AREA)
        _, coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        self._places[id(crop.track), crop.frame] = self._file.tell(), len(coded)
        self._file.write(coded.tobytes())

    def nearest(self, chain, frame):
        """JPEG bytes of the face in the frame of a chain (list of tracks) nearest to `frame`; None without any near."""
        for distance in range(EVERY):
            for near in {frame - distance, frame + distance}:
                for track in chain:
                    if (id(track), near) in self._places:
                        start, length = self._places[id(track), near]
                        self._file.seek(start)
                        return self._file.read(length)
        return None

    def __exit__(self, *_):
        self._file.close()
