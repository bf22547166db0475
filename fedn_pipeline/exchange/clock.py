"""Frames of a video <-> seconds, exact to the frame: the one place where annotations change their unit.

Frame k lasts from `k / fps` to `(k + 1) / fps`, or, in a video of variable rate, from its time stamp to the next
frame's. An interval of inclusive frames [onset, offset] ends where frame offset + 1 begins (datasets.md).
"""

from dataclasses import dataclass

import numpy as np

from fedn_pipeline.files import InputError

MILLISECOND = 0.001


@dataclass(frozen=True)
class Clock:
    """A video's frame axis. `edges_s [n_frames + 1]`: where each frame begins, and the last one ends; None: even."""

    name: str
    fps: float
    n_frames: int | None = None
    edges_s: np.ndarray | None = None

    def seconds(self, onset, offset):
        """`(start_s, end_s)` of inclusive frames."""
        if self.edges_s is None:
            return onset / self.fps, (offset + 1) / self.fps
        return float(self.edges_s[onset]), float(self.edges_s[offset + 1])

    def frames(self, start_s, end_s):
        """Inclusive frames `(onset, offset)` whose edges are nearest; offset < onset where that is no whole frame."""
        first, last = (self._nearest(time) for time in (start_s, end_s))
        return first, last - 1

    def _nearest(self, time_s):
        if self.edges_s is None:
            return int(np.rint(time_s * self.fps))
        after = int(np.clip(np.searchsorted(self.edges_s, time_s), 1, len(self.edges_s) - 1))
        before, behind = self.edges_s[after - 1], self.edges_s[after]
        if time_s > behind + (behind - before):  # past the end, which the caller judges
            return len(self.edges_s)
        return after - 1 if time_s - before <= behind - time_s else after

    def check_milliseconds(self, tool):
        """InputError where frames are so short that whole milliseconds cannot tell them apart."""
        shortest_s = 1 / self.fps if self.edges_s is None else float(np.diff(self.edges_s).min())
        if shortest_s <= MILLISECOND:
            raise InputError(
                f"{self.name}: {tool} keeps whole milliseconds, but its frames are {shortest_s * 1000:.3g} ms apart: "
                "use activitynet or textgrid"
            )


def from_times(name, fps, n_frames, times_s):
    """The clock of a video; `times_s [n_frames]`: each frame's time stamp, or None for an even rate.

    The last frame lasts as long as the median one. InputError if the times do not grow from frame to frame.
    """
    if times_s is None:
        return Clock(name, fps, n_frames)
    times_s = np.asarray(times_s, dtype=np.float64)
    if times_s.shape != (n_frames,):
        raise InputError(f"{name}: times_s has the shape {list(times_s.shape)}, but there are {n_frames} frames")
    if not np.isfinite(times_s).all() or (np.diff(times_s) <= 0).any():
        raise InputError(f"{name}: times_s must be finite and grow from frame to frame")
    step_s = float(np.median(np.diff(times_s))) if n_frames > 1 else 1 / fps
    return Clock(name, fps, n_frames, np.append(times_s, times_s[-1] + step_s))
