"""When each frame of a video is shown: its frames <-> seconds, and where they lie on the 30 fps axis of the features.

A constant frame rate is that of the stages (intervals.py): frame k begins at k / fps. A variable one goes by the
frames' own time stamps, so that an expression has its true length wherever the camera was slow. Here alone annotations
change their unit: inclusive frames [onset, offset] end where frame offset + 1 begins (datasets.md).
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from fedn_pipeline import intervals
from fedn_pipeline.faces import video

TOLERANCE = 0.45  # of a frame: time stamps that stray no further are those of a constant rate (cameras jitter)
LONGEST_S = 60  # no frame is shown for longer: such a step is a clock that was set, and would make a video of days


@dataclass(frozen=True)
class Axis:
    """n_frames (None where only the rate is known); fps (the mean, if `variable`); stamps_s: of a variable rate what
    edges_s gives; warnings: sentences for the user about the time stamps."""

    n_frames: int | None
    fps: float
    stamps_s: np.ndarray | None = None
    warnings: list = field(default_factory=list)

    @property
    def variable(self):
        return self.stamps_s is not None

    @cached_property
    def edges_s(self):
        """`[n_frames + 1]`: when each frame begins, and the last ends."""
        return self.stamps_s if self.variable else np.arange(self.n_frames + 1) / self.fps

    @property
    def duration_s(self):
        return float(self.seconds(0, self.n_frames - 1)[1])

    def source_frames(self):
        """The frame shown at each step of the 30 fps axis, `[n_steps]` int64."""
        if not self.variable:
            return intervals.source_frames(self.n_frames, self.fps)
        n_steps = max(1, round(self.duration_s * intervals.FEATURE_FPS))
        steps_s = np.arange(n_steps) / intervals.FEATURE_FPS
        return np.searchsorted(until_s(self.edges_s[:-2], self.edges_s[1:-1]), steps_s, side="left")

    def nearest(self, frames, wanted):
        """Which of the rising `frames [n]` begins nearest to each of the frames `wanted [k]`, `[k]` int64; of two the
        earlier; and how far, `[k]` s."""
        times, wanted_s = self.edges_s[frames], self.edges_s[wanted]
        near = np.searchsorted((times[1:] + times[:-1]) / 2, wanted_s, side="left")
        return near, np.abs(times[near] - wanted_s)

    def from_steps(self, spans):
        """Half-open spans `[k, 2]` in steps of the 30 fps axis -> in frames, real-valued."""
        if not self.variable:
            return intervals.to_source_axis(spans, self.fps)
        return np.interp(spans / intervals.FEATURE_FPS, self.edges_s, np.arange(self.n_frames + 1))

    def seconds(self, onset, offset):
        """Inclusive frames -> `(onset_s, offset_s)`: when the first begins and when the last ends."""
        if not self.variable:
            return onset / self.fps, (offset + 1) / self.fps
        return self.edges_s[onset], self.edges_s[np.asarray(offset) + 1]

    def frames(self, onset_s, offset_s):
        """Inclusive frames `(onset, offset)` whose edges are nearest to two times; offset < onset where that is no
        whole frame, offset >= n_frames where the video ends before."""
        onset, end = (self._nearest_edge(time_s) for time_s in (onset_s, offset_s))
        return onset, end - 1

    def _nearest_edge(self, time_s):
        if not self.variable:
            return int(np.rint(time_s * self.fps))
        edges_s = self.edges_s
        if time_s > edges_s[-1]:  # how long the last frame lasts is a guess: less than that too much is none
            return self.n_frames + int((time_s - edges_s[-1]) / (edges_s[-1] - edges_s[-2]))
        after = max(1, int(np.searchsorted(edges_s, time_s)))
        return after - 1 if time_s - edges_s[after - 1] <= edges_s[after] - time_s else after


def until_s(begins_s, next_s):
    """The last time, inclusive, at which a step of the 30 fps axis shows a frame and not the next one.

    A step shows the frame that begins nearest to its own start, as in intervals.source_frames; but one that lasts
    longer than a step is shown as long as it lasts.
    """
    return next_s - np.minimum(next_s - begins_s, 1 / intervals.FEATURE_FPS) / 2


def of_video(n_frames, fps, times_s=None):
    """The Axis of a video with its header's rate and, where they are known, time stamps `[n_frames]` from 0."""
    regular = Axis(n_frames, fps)
    if times_s is None or len(times_s) != n_frames:
        return regular
    times_s, warnings = _without_jumps(np.asarray(times_s))
    if warnings:
        regular = Axis(n_frames, float((n_frames - 1) / times_s[-1]))  # the header's may be the mean over the jump
    if np.abs(times_s - regular.edges_s[:-1]).max() <= TOLERANCE / regular.fps:
        return replace(regular, warnings=warnings)
    return replace(of_stamps(times_s), warnings=warnings)


def of_stamps(times_s):
    """The Axis of a variable rate with time stamps `[n_frames]` that rise, at least two. The last frame lasts as long
    as the median one."""
    edges_s = np.append(times_s, times_s[-1] + np.median(np.diff(times_s)))
    return Axis(len(times_s), float(len(times_s) / (edges_s[-1] - edges_s[0])), edges_s)


def of_file(path):
    """`timed` of a video file, which is decoded for it. Raises InputError (video.py)."""
    return timed(video.Reader(path).to_end())


def timed(reader):
    """VideoInfo and Axis, both with the Axis's rate, of a video.Reader that has decoded its file to the end."""
    info, times_s = reader.info(), reader.times_s()
    every_s = with_missing(times_s, info.missing)
    line = of_video(info.n_frames, info.fps, every_s)
    if every_s is None and times_s is not None and len(times_s) > 1:
        decoded = of_video(len(times_s), (len(times_s) - 1) / times_s[-1], times_s)
        if decoded.variable:
            line.warnings.append("the frame rate varies, but which time belongs to which frame is unknown: by the mean")
    return replace(info, fps=line.fps), line


def _without_jumps(times_s):
    """Time stamps `[n]` from 0 with every step above LONGEST_S made a usual one; and a warning, if there was any."""
    steps_s = np.diff(times_s)
    wild = steps_s > LONGEST_S
    if not wild.any():
        return times_s, []
    usual_s = np.median(steps_s[~wild]) if not wild.all() else 1 / intervals.FEATURE_FPS
    first = int(np.argmax(wild))
    warning = (
        f"the time stamps jump after {int(wild.sum())} of the frames (the first: by {steps_s[first]:.0f} s, after "
        f"frame {first}); this is left out, so that later times are not the file's own"
    )
    return np.append(0, np.cumsum(np.where(wild, usual_s, steps_s))), [warning]


def with_missing(times_s, missing):
    """Time stamps `[n_decoded]` -> `[n_frames]` from 0: frames that are `missing` `[n_frames]` lie between the others.

    None where there are no stamps, or not one for each frame that is not missing.
    """
    places = np.flatnonzero(~missing)
    if times_s is None or len(times_s) != len(places) or len(places) < 2:
        return None
    usual_s = np.median(np.diff(times_s) / np.diff(places))
    frames = np.arange(len(missing))
    outside = np.minimum(frames - places[0], 0) + np.maximum(frames - places[-1], 0)  # frames before and after all
    filled = np.interp(frames, places, times_s) + outside * usual_s
    return filled - filled[0]
