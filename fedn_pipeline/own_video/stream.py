"""One pass over a video: decode, find faces, link them, cut crops, embed. Nothing but numbers is kept of a frame.

Does to each face what the stages faces and features do to the one they follow; whom to follow is known only at the end,
so everybody is embedded. A crop needs the frames around it (gaps are bridged, the crop's place is smoothed), so
pictures wait for some frames. Decoding, landmarks and embedding run in threads of their own. A file in which frames are
damaged is watched a second time, now that it is known which.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np
from tqdm import tqdm

from fedn_pipeline import intervals
from fedn_pipeline.faces import crops, following, landmarks, video
from fedn_pipeline.features.extract import ahead
from fedn_pipeline.own_video import axis
from fedn_pipeline.own_video.embedding import Crop

AHEAD = 4  # pictures, and crops, that a thread may be ahead of the next
TRUNCATE = 4  # standard deviations at which the smoothing Gaussian ends, as in scipy's


@dataclass
class Watched:
    """What a pass gives: VideoInfo, the time axis, everybody's tracks (following.Linker), and each track's frames and
    their vectors, `{id(track): (frames, vectors)}`."""

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
    watched = _watch(reader.pictures(), reader, None, settings, embed, faces, proxy, progress)
    info = reader.info()
    if info.damaged.any():
        print(f"{path}: {info.n_damaged} damaged frames: watched again without them", flush=True)
        pictures = ((picture, None) for picture in video.frames(path, info))
        watched = _watch(pictures, reader, info, settings, embed, faces, proxy, progress)
    watched.info = info
    watched.axis = axis.of_video(info.n_frames, info.fps, None if info.damaged.any() else reader.times_s())
    return watched


def _watch(pictures, reader, info, settings, embed, faces, proxy, progress):
    """One pass; `info`, once it is known, says which frames are damaged."""
    fps = info.fps if info else reader.fps or intervals.FEATURE_FPS
    linker = following.Linker(settings, patience=round(settings["max_gap_s"] * fps))
    watched, bar = (
        Watched(info, None, linker),
        tqdm(desc=reader.path.name, total=reader.expected, disable=not progress, unit="frame"),
    )
    with (
        landmarks.Landmarker(settings["max_faces"], settings["min_confidence"], video=True) as landmarker,
        proxy(fps, (reader.expected or 0) / fps) as copy,
        bar,
    ):
        shown = ahead(_copied(pictures, copy), AHEAD)
        unseen = info.damaged if info else None
        cut = ahead(_cut(shown, unseen, linker, landmarker, settings, fps, bar), AHEAD)
        for crop, vector in embed(_kept(cut, faces)):
            frames, vectors = watched.vectors.setdefault(id(crop.track), ([], []))
            frames.append(crop.frame)
            vectors.append(vector)
    return watched


def _copied(pictures, copy):
    """Pass pictures on, after adding them to the light copy."""
    for frame, (picture, time_s) in enumerate(pictures):
        copy.add(frame, picture, time_s)
        yield picture


def _kept(cut, faces):
    for crop in cut:
        faces.add(crop)
        yield crop


def _cut(pictures, unseen, linker, landmarker, settings, fps, bar):
    """Pictures -> Crop of every face on them that the features need, in order of frames."""
    size, sigma = settings["crop_size"], settings["smoothing_s"] * fps
    radius, patience = int(TRUNCATE * sigma + 0.5), round(settings["max_gap_s"] * fps)
    delay = radius + patience + 1  # then it is known whether a face comes back
    waiting, current, n_tracks = deque(), [], 0

    def crops_of(frame, picture):
        nonlocal current, n_tracks
        current = [track for track in current + linker.tracks[n_tracks:] if track.frames[-1] >= frame]
        n_tracks = len(linker.tracks)
        if is_needed(frame, fps):
            for track in current:
                if track.frames[0] <= frame:
                    similarity = smoothed(track, frame, radius, sigma)
                    yield Crop(frame, track, crops.warp(picture, similarity, size), similarity)

    frame = -1
    for frame, picture in enumerate(pictures):
        blind = unseen is not None and unseen[frame]
        meshes = [] if blind else landmarker.detect(picture)
        linker.add([following.Face.from_mesh(picture, mesh, size) for mesh in meshes])
        bar.update()
        waiting.append(picture)
        if len(waiting) > delay:
            yield from crops_of(frame - delay, waiting.popleft())
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
