"""One pass over a video: decode, find faces, link them, cut crops, embed. Nothing but numbers is kept of a frame.

Does to each face what the stages faces and features do to the one they follow; whom to follow is known only at the end,
so everybody is embedded. A crop needs the frames around it (gaps are bridged, the crop's place is smoothed), so
pictures wait for some frames. Decoding, landmarks and embedding run in threads of their own. A file that turns out to
hold other frames than the pass took them for, because some are damaged, is watched a second time.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from contextlib import closing
from dataclasses import dataclass, field

import cv2
import numpy as np
from tqdm import tqdm

from fedn_pipeline import intervals
from fedn_pipeline.faces import axis, crops, following, landmarks, video
from fedn_pipeline.features.extract import ahead
from fedn_pipeline.own_video.embedding import Crop
from fedn_pipeline.own_video.layout import shown

AHEAD = 4  # pictures, and crops, that a thread may be ahead of the next
WRONG_RATE = 2  # a header's rate that is off by this factor makes gaps and smoothing too long or short
UNKNOWN_S = 3600  # how long a file without a duration is taken to be, where the size of its copy is at stake
TRUNCATE = 4  # standard deviations at which the smoothing Gaussian ends, as in scipy's


@dataclass
class Watched:
    """What a pass gives: VideoInfo, the time axis, everybody's tracks (following.Linker), and each track's frames and
    their vectors, end to end, `{id(track): (frames, vectors)}` (arrays of the standard library: compact)."""

    info: video.VideoInfo
    axis: axis.Axis
    linker: following.Linker
    vectors: dict = field(default_factory=dict)


def watch(path, settings, embed, faces, proxy, progress=True):
    """Watched of a video file; `settings` is section `faces`, `embed` of embedding.OPENERS.

    `faces` (keepsakes.Faces) and `proxy(fps, expected_s)` (a context of keepsakes.Proxy) are given what they keep.
    Raises InputError for a file that cannot be decoded.
    """
    cv2.setNumThreads(1)
    reader = video.Reader(path)
    fps = reader.fps or intervals.FEATURE_FPS
    expected_s = reader.expected / fps if reader.expected else UNKNOWN_S
    bar = {"desc": reader.path.name, "total": reader.expected, "disable": not progress, "unit": "frame"}
    pictures = marked(reader.pictures(), None if reader.guessed else fps)
    watched = _watch(pictures, fps, None, settings, embed, faces, proxy(fps, expected_s), bar)
    info, line = axis.timed(reader)
    n_seen = len(watched.linker.n_faces)
    if info.damaged.any() or n_seen != info.n_frames or not 1 / WRONG_RATE < info.fps / fps < WRONG_RATE:
        print(
            f"{shown(path)}: watched again: {n_seen} frames, {fps:.4g} a second, have turned out to be "
            f"{info.n_frames}, {info.n_damaged} of them damaged, {info.fps:.4g} a second",
            flush=True,
        )
        needed = np.zeros(info.n_frames, dtype=bool)
        needed[line.source_frames()] = True
        pictures = zip(video.frames(path, info), needed, strict=True)
        copy = proxy(info.fps, line.duration_s)
        bar["total"] = info.n_frames
        watched = _watch(pictures, info.fps, info.damaged, settings, embed, faces, copy, bar)
    watched.info, watched.axis = info, line
    return watched


def _watch(pictures, fps, unseen, settings, embed, faces, copy, bar):
    """One pass over pairs `(picture, needed)`; `unseen [n_frames]`, once it is known, says which frames are damaged."""
    linker = following.Linker(settings, patience=round(settings["max_gap_s"] * fps))
    watched = Watched(None, None, linker)
    with (
        landmarks.Landmarker(settings["max_faces"], settings["min_confidence"], video=True) as landmarker,
        copy,
        tqdm(**bar) as shown_bar,
        # Last, so that the threads have ended before anything that they use is closed.
        closing(ahead(_copied(pictures, copy), AHEAD)) as shown,
        closing(ahead(_cut(shown, unseen, linker, landmarker, settings, fps, shown_bar), 2 * AHEAD)) as cut,
    ):
        for crop, vector in embed(_kept(cut, faces)):
            frames, vectors = watched.vectors.setdefault(id(crop.track), (array("q"), array("f")))
            frames.append(crop.frame)
            vectors.frombytes(vector.astype(np.float32).tobytes())
    return watched


def marked(pictures, fps):
    """`(picture, time_s)` in order -> `(picture, needed)`: may the frame be the one shown at a step of the 30 fps axis?

    It may be by the rate `fps` (None: not known, every frame may) and by the time stamps: which of the two will decide
    (axis.of_video) is known only at the end.
    """
    step = 0  # the next one without a frame
    first_s = before_s = before = None  # before: the picture that is not given away yet
    for frame, (picture, time_s) in enumerate(pictures):
        if frame:
            needed = fps is None or is_needed(frame - 1, fps)
            if time_s is not None and before_s is not None:
                first_s = before_s if first_s is None else first_s
                last = axis.until_s(before_s - first_s, time_s - first_s) * intervals.FEATURE_FPS
                needed |= step <= last
                step = max(step, int(np.floor(last)) + 1)
            yield before, needed
        before, before_s = picture, time_s
    if before is not None:
        yield before, True  # stands for all steps to the end


def _copied(pictures, copy):
    """Pass pairs `(picture, needed)` on, after adding the picture to the light copy."""
    for picture, needed in pictures:
        copy.add(picture)
        yield picture, needed


def _kept(cut, faces):
    for crop in cut:
        if crop is not None:
            faces.add(crop)
            yield crop


def _cut(pictures, unseen, linker, landmarker, settings, fps, bar):
    """Pairs `(picture, needed)` -> Crop of every face on the needed ones, in order of frames.

    Also one None per frame, so that who waits for the next item waits for no longer than a frame takes.
    """
    size, sigma = settings["crop_size"], settings["smoothing_s"] * fps
    radius, patience = int(TRUNCATE * sigma + 0.5), round(settings["max_gap_s"] * fps)
    delay = radius + patience + 1  # then it is known whether a face comes back
    waiting, current, n_tracks = deque(), [], 0  # waiting: pictures, None for one that is not needed

    def crops_of(frame, picture):
        nonlocal current, n_tracks
        current = [track for track in current + linker.tracks[n_tracks:] if track.frames[-1] >= frame]
        n_tracks = len(linker.tracks)
        if picture is not None:
            for track in current:
                if track.frames[0] <= frame:
                    similarity = smoothed(track, frame, radius, sigma)
                    yield Crop(frame, track, crops.warp(picture, similarity, size), similarity)

    frame = -1
    for frame, (picture, needed) in enumerate(pictures):
        blind = unseen is not None and unseen[frame]
        meshes = [] if blind else landmarker.detect(picture)
        linker.add([following.Face.from_mesh(picture, mesh, size) for mesh in meshes])
        bar.update()
        waiting.append(picture if needed else None)
        if len(waiting) > delay:
            yield from crops_of(frame - delay, waiting.popleft())
        yield None
    for passed in range(frame - len(waiting) + 1, frame + 1):
        yield from crops_of(passed, waiting.popleft())


def is_needed(frame, fps):
    """Whether a frame is the one shown at some step of the 30 fps axis (intervals.source_frames)."""
    step = (frame + 0.5) * intervals.FEATURE_FPS / fps
    return any(np.ceil(near * fps / intervals.FEATURE_FPS - 0.5) == frame for near in (int(step), int(step) - 1))


def smoothed(track, frame, radius, sigma):
    """The similarity of a track's crop in a frame: bridged and smoothed over time as gaps.bridge and gaps.smooth do."""
    around = np.clip(np.arange(frame - radius, frame + radius + 1), track.frames[0], track.frames[-1])
    first = bisect_right(track.frames, around[0]) - 1
    last = bisect_left(track.frames, around[-1]) + 1
    known = np.array([face.similarity for face in track.faces[first:last]])
    values = np.stack([np.interp(around, track.frames[first:last], column) for column in known.T], axis=1)
    if not sigma:
        return values[radius]
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return weights @ values / weights.sum()
