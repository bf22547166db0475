"""Decode a video onto one fixed frame axis, and say which of its frames are damaged.

First step of the faces stage; also the one way in which any stage looks at a video's pictures. Each packet is
decoded under its own try (PyAV), so damage costs the frames it hits and no others.

Promises that README and the model rely on:

- Frame k is the k-th picture of the source. A picture that cannot be decoded, that the decoder flags as corrupt, or
  that is predicted from such a one (all up to the next key frame) keeps its place: the last good picture is repeated
  (before the first good one: that one), and the frame is marked as damaged. Labels never shift.
- Frames lost with the container's own structure are put back where the time stamps, or the bytes between packets,
  show the hole; so are those that AVI counts and leaves empty (a camera that dropped them). In a file without any such
  sign, uneven time stamps are a variable frame rate: nothing is added, and `fps` is the mean rate.
- A file cut short ends where its last packet ends: `n_frames` is what can be decoded, `header_frames` what the
  container announced (None if it does not say), and the difference is reported, never filled.
- Damage that leaves a picture decodable (some in MJPEG) cannot be seen by anybody and is not marked; nor can the place
  of frames that a damaged length has swallowed in a format that allows any (raw AVI): a warning says how many.
- A missing, empty or unreadable file, or one without a decodable picture, raises InputError naming it.
"""

from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np

from fedn_pipeline.files import InputError, checked

# Decoders that hide their errors unless told not to; the others flag or raise by themselves.
STRICT_CODECS = {"mjpeg"}
# Codecs some of whose packets are sound and hold no picture to show (VP8's alternative references).
HIDING_CODECS = {"vp8"}
# A strict decoder that complains of more frames than this objects to the encoder's habits, not to damage.
STRICT_TOLERANCE = 0.5
# The header's frame count, where it is an estimate from the duration, may be wrong by this share and one frame.
DURATION_TOLERANCE = 0.01
# Time stamps are regular, so that a hole in them means lost frames, when this share of the steps is alike.
REGULAR_SHARE = 0.9
# Packets from whose times the frame rate is guessed where the header has none (browsers' recordings).
GUESSED_FROM = 100
# Bytes that belong to no packet held lost ones when they are at least this share of a median packet.
SMALLEST_LOST_PACKET = 0.25


@dataclass(frozen=True)
class VideoInfo:
    """A video's frame axis: `damaged` and `missing` `[n_frames]` bool (missing: damaged, and not decodable at all)."""

    n_frames: int
    header_frames: int | None
    fps: float
    width: int
    height: int
    damaged: np.ndarray
    missing: np.ndarray
    strict: bool
    filled = False  # a damaged frame counts as one without a face (images.py differs)

    @property
    def n_damaged(self):
        return int(self.damaged.sum())

    def warnings(self):
        """Sentences for the user about damaged and absent frames; empty for a sound file."""
        found = []
        if self.n_damaged:
            first = int(np.argmax(self.damaged))
            found.append(
                f"{self.n_damaged} of {self.n_frames} frames are damaged (the first is frame {first}); "
                "they repeat the last good picture"
            )
        if self.header_frames is not None and self.header_frames > self.n_frames:
            found.append(
                f"the file announces {self.header_frames} frames but holds {self.n_frames}: it was cut short, or lost "
                "frames that leave no trace, so that later ones have moved up"
            )
        return found


@dataclass
class _Scan:
    """What one decoding of the whole file saw; packets in file order, frames in presentation order."""

    packet_times: list  # ticks; the packet's number where the container gives none
    packet_bytes: list  # (first byte, byte after the last)
    frame_times: list
    corrupt: list  # per frame: flagged by the decoder
    key: list  # per frame: needs no other frame
    hurt: bool  # an error or a flag was seen anywhere
    shape: tuple  # upright (height, width)
    tick_s: float  # what a tick lasts


def _open(path, strict):
    """The container and its first video stream, decoded on one thread; InputError when there is none."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such video file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the video file is empty (0 bytes)")
    try:
        container = av.open(str(checked(path)), metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: cannot be read as a video ({error.strerror})") from error
    if not container.streams.video:
        container.close()
        raise InputError(f"{path}: the file has no video stream")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        container.close()
        raise InputError(f"{path}: there is no decoder for the codec of its video stream")
    stream.codec_context.thread_count = 1
    if strict:
        stream.codec_context.options = {"err_detect": "explode"}
    return container, stream


def _decoded(container, stream):
    """Yield `(packet, frames, failed)` per packet, then None for the packet when the decoder is flushed."""
    demuxer = container.demux(stream)
    while True:
        frames, failed = [], False
        try:
            packet = next(demuxer, None)
        except av.error.FFmpegError:
            packet, failed = None, True  # the container itself is broken here: what follows cannot be found
        flushing = packet is None or not packet.size
        try:
            frames = stream.codec_context.decode(None if flushing else packet)
        except av.error.FFmpegError:
            failed = True
        yield (None if flushing else packet), frames, failed
        if flushing:
            return


def _upright(frame, width=None, height=None):
    """A decoded frame as RGB uint8 `[height, width, 3]`, turned by the container's rotation mark."""
    turns = round(frame.rotation / 90) % 4
    if turns % 2:
        width, height = height, width
    picture = frame.to_ndarray(format="rgb24", width=width, height=height, threads=1)  # else threads for each frame
    return np.ascontiguousarray(np.rot90(picture, turns))


def _scanned(container, stream, scan):
    """Decode the whole of an open file; yield its frames, and keep their times and flags in `scan`."""
    halves = False  # the stream may hold the two fields of a picture in packets of their own
    for packet, frames, failed in _decoded(container, stream):
        if packet is not None and not packet.is_discard:
            time = packet.pts if packet.pts is not None else packet.dts
            scan.packet_times.append(len(scan.packet_times) if time is None else time)
            start = packet.pos or 0
            scan.packet_bytes.append((start, start + packet.size))
            scan.hurt |= packet.is_corrupt
        for frame in frames:
            scan.frame_times.append(frame.pts)
            scan.corrupt.append(frame.is_corrupt)
            scan.key.append(frame.key_frame)
            scan.shape = scan.shape or _upright(frame).shape[:2]
            halves |= frame.interlaced_frame
        scan.hurt |= failed or any(frame.is_corrupt for frame in frames)
        yield from frames
    # Some decoders pass over what they cannot read and say nothing; half a picture in a packet is no damage. Of
    # packets with one time only one holds a picture.
    silent = len(scan.frame_times) < len(set(scan.packet_times))
    scan.hurt |= silent and not halves and stream.codec_context.name not in HIDING_CODECS


def _rate_of_all(scan, duration_s, fps):
    """Frames per second by the frames' own times, if these reach the end of the file's duration; else None.

    Matroska tells an intended rate, `fps`; a camera that was slower then is no file that was cut short.
    """
    times_s = np.array([time for time in scan.frame_times if time is not None]) * scan.tick_s
    if not len(times_s) or len(times_s) < len(scan.frame_times):
        return None
    steps_s = np.diff(np.sort(times_s))
    first_s, last_s = times_s.min(), times_s.max()
    if duration_s - last_s > max(steps_s.max(initial=0), 1.5 / fps, DURATION_TOLERANCE * duration_s):
        return None
    return float(len(steps_s) / (last_s - first_s)) if last_s > first_s else fps


def _rate_of_times(times_s):
    """Mean frames per second by the frames' own times, where the header has no rate; None if it cannot be told."""
    return None if times_s is None or not any(times_s) else float((len(times_s) - 1) / times_s[-1])


def _guessed_rate(path):
    """Frames per second of a file whose header has no rate, by its first packets' times; 0 if it cannot be told."""
    container, stream = _open(path, strict=False)
    tick_s, guessed, times = float(stream.time_base or 0), float(stream.guessed_rate or 0), []
    with container, suppress(av.error.FFmpegError):  # a break is found, and reported, by who decodes the file
        times.extend(packet.pts for packet in islice(container.demux(stream), GUESSED_FROM) if packet.pts is not None)
    times_s = np.sort(times) * tick_s
    return _rate_of_times(times_s - times_s[:1]) or guessed


def _spread(total, shares):
    """Whole numbers `[n]` that sum to `total` and follow `shares` `[n]`."""
    edges = np.rint(total * np.cumsum(shares) / np.sum(shares)).astype(int)
    return np.diff(edges, prepend=0)


def _holes(extents):
    """Bytes after each packet that belong to none and could have held one, `[n_packets]`; and a usual packet's size."""
    starts, ends = extents.T
    usual = np.median(ends - starts)
    holes = np.append(starts[1:] - ends[:-1], 0)
    holes = holes - np.median(holes)  # the container's own bytes between packets
    holes[holes < SMALLEST_LOST_PACKET * usual] = 0
    return holes, usual


def _lost_after(times, extents, announced, hurt):
    """How many frames the container lost after each packet, `[n_packets]` in file order.

    `times [n_packets]` are ticks, `extents [n_packets, 2]` first byte and byte after the last.
    """
    lost = np.zeros(len(times), dtype=int)
    if len(times) < 3:
        return lost
    holes, usual = _holes(extents)
    order = np.argsort(times)
    steps = np.diff(times[order])
    regular = np.abs(steps - np.median(steps)) <= 0.1 * np.median(steps) + 1  # 1 tick: rounding
    if regular.mean() >= REGULAR_SHARE:
        lost[order[:-1]] = np.maximum(np.rint(steps / steps[regular].mean()).astype(int) - 1, 0)
    n_lost = (announced or 0) - len(times)
    if not hurt and n_lost != lost.sum() and holes.max() < SMALLEST_LOST_PACKET * usual * lost.max():
        lost[:] = 0  # time stamps alone do not prove a loss: a camera may skip a beat
    if hurt and not lost.any() and n_lost > 0 and holes.any():
        # AVI numbers its packets as it finds them: a lost one shows only in the bytes (small holes may hold sound).
        lost = _spread(n_lost, np.where(holes >= holes.max() / 2, holes, 0))
    return lost


def _presented(scan):
    """Times of packets and of frames that agree with the order in which the decoder presents its frames."""
    packets, frames = set(scan.packet_times), set(scan.frame_times)
    unique = len(packets) == len(scan.packet_times) and len(frames) == len(scan.frame_times)
    if unique and frames <= packets:
        # AVI stamps packets in order of decoding: then the decoder's own order decides.
        renamed = dict(zip(scan.frame_times, sorted(scan.frame_times), strict=True))
        return [renamed.get(time, time) for time in scan.packet_times], sorted(scan.frame_times)
    # Times that do not tell frames apart: only the count can be kept.
    n = max(len(scan.packet_times), len(scan.frame_times))
    return list(range(n)), list(range(len(scan.frame_times)))


def _damage(scan, announced):
    """Frame axis of a scanned file: `damaged` and `missing`, `[n_frames]` bool each."""
    sound = np.zeros(len(scan.frame_times), dtype=bool)
    if not scan.packet_times:
        return sound, sound
    packet_times, frame_times = _presented(scan)
    order = np.argsort(packet_times)
    extents = np.array(scan.packet_bytes + [(0, 0)] * (len(order) - len(scan.packet_bytes)))
    lost = _lost_after(np.array(packet_times), extents, announced, scan.hurt)
    if not scan.hurt and not lost.any():
        return sound, sound
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order)) + np.cumsum(lost[order]) - lost[order]

    damaged = np.ones(len(order) + lost.sum(), dtype=bool)
    missing = damaged.copy()
    flags = dict(zip(frame_times, zip(scan.corrupt, scan.key, strict=True), strict=True))
    spoilt = spoilt_before = False
    key_time = packet_times[0]
    for time, position, n_lost in zip(packet_times, place, lost, strict=True):  # in order of decoding
        corrupt, key = flags.get(time, (True, False))
        if key:
            spoilt_before, spoilt, key_time = spoilt, False, time
        spoilt |= corrupt
        missing[position] = time not in flags
        # Frames shown before a key frame but decoded after it still draw on what came before.
        damaged[position] = spoilt or (time < key_time and spoilt_before)
        spoilt |= n_lost > 0
    return damaged, missing


def _strict(path):
    container, stream = _open(path, strict=False)
    with container:
        return stream.codec_context.name in STRICT_CODECS


class Reader:
    """Decodes a video file once, from front to back: `pictures()`, and what was found in it: `info()`, `times_s()`.

    Raises InputError (module docstring).
    """

    def __init__(self, path, strict=None):
        self.path, self._strict = path, _strict(path) if strict is None else strict
        self._container, self._stream = _open(path, self._strict)
        self.guessed = not self._stream.average_rate  # `fps` is a guess: the header has no rate
        self.fps = _guessed_rate(self.path) if self.guessed else float(self._stream.average_rate)
        self.duration_s = (self._container.duration or 0) / av.time_base
        self._announced = self._stream.frames or None
        tick_s = float(self._stream.time_base or 0)
        self._scan = _Scan([], [], [], [], [], hurt=False, shape=None, tick_s=tick_s)

    @property
    def expected(self):
        """How many frames the header leads to expect; None if it does not say."""
        return self._announced or round(self.duration_s * self.fps) or None

    def _frames(self):
        with self._container:
            yield from _scanned(self._container, self._stream, self._scan)

    def pictures(self):
        """Yield `(picture, time_s)` of each decoded frame: RGB uint8 `[height, width, 3]`, of a damaged one as it is;
        its time stamp, None where there is none."""
        for frame in self._frames():
            height, width = self._scan.shape
            # Not frame.time: frames that leave the decoder at its flush have no time base.
            yield _upright(frame, width, height), None if frame.pts is None else frame.pts * self._scan.tick_s

    def to_end(self):
        """Decode the file, of whose pictures none is wanted; the Reader itself."""
        for _ in self._frames():
            continue
        return self

    def times_s(self):
        """When each decoded frame is shown, `[n]` from 0, by its time stamp; None where they are absent or fall."""
        ticks = [np.nan if time is None else time for time in self._scan.frame_times]
        times_s = np.array(ticks, dtype=np.float64) * self._scan.tick_s
        sound = len(times_s) and np.isfinite(times_s).all() and (np.diff(times_s) > 0).all()
        return times_s - times_s[0] if sound else None

    def info(self):
        """VideoInfo, once all pictures have been decoded."""
        scan, announced, fps = self._scan, self._announced, self.fps
        damaged, missing = _damage(scan, announced)
        if self._strict and damaged.sum() > STRICT_TOLERANCE * len(damaged):
            return probe(self.path, strict=False)
        if damaged.all():
            raise InputError(f"{self.path}: no frame of the video can be decoded")
        if self.guessed:
            fps = _rate_of_times(self.times_s()) or fps
        if not fps:
            raise InputError(f"{self.path}: the video has no frame rate")
        if announced is None and self.duration_s * fps > len(damaged) * (1 + DURATION_TOLERANCE) + 1:
            slower = _rate_of_all(scan, self.duration_s, fps)
            announced, fps = (None, slower) if slower else (round(self.duration_s * fps), fps)
        height, width = scan.shape
        return VideoInfo(len(damaged), announced, fps, width, height, damaged, missing, self._strict)


def probe(path, strict=None):
    """Decode `path` once and return its VideoInfo. Raises InputError (module docstring)."""
    return Reader(path, strict).to_end().info()


def frames(path, info=None):
    """Yield each frame of `path` as RGB uint8 `[height, width, 3]`, `info.n_frames` in all; one is held at a time.

    `info` is `probe(path)`, computed when not given. Raises InputError as `probe` does.
    """
    info = info or probe(path)
    container, stream = _open(path, info.strict)
    with container:
        decoded = (frame for _, found, _ in _decoded(container, stream) for frame in found)
        picture, waiting = None, 0
        for missing, damaged in zip(info.missing, info.damaged, strict=True):
            frame = None if missing else next(decoded)
            if not damaged:
                picture = _upright(frame, info.width, info.height)
            if picture is None:
                waiting += 1  # damage before the first good picture: that one will stand in
                continue
            for _ in range(waiting + 1):
                yield picture
            waiting = 0
