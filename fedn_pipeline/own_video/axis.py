"""When each frame of a video is shown, and where its frames lie on the 30 fps axis of the features.

A constant frame rate is that of the stages (intervals.py): frame k begins at k / fps. A variable one goes by the
frames' own time stamps, so that an expression has its true length wherever the camera was slow.
"""

from dataclasses import dataclass

import numpy as np

from fedn_pipeline import intervals

TOLERANCE = 0.45  # of a frame: time stamps that stray no further are those of a constant rate (cameras jitter)


@dataclass(frozen=True)
class Axis:
    """n_frames; fps (the mean, if `variable`); edges_s `[n_frames + 1]`: when each frame begins, and the last ends."""

    n_frames: int
    fps: float
    edges_s: np.ndarray
    variable: bool

    @property
    def duration_s(self):
        return float(self.edges_s[-1])

    def source_frames(self):
        """The frame shown at each step of the 30 fps axis, `[n_steps]` int64."""
        if not self.variable:
            return intervals.source_frames(self.n_frames, self.fps)
        n_steps = max(1, round(self.duration_s * intervals.FEATURE_FPS))
        middles_s = (np.arange(n_steps) + 0.5) / intervals.FEATURE_FPS
        return np.clip(np.searchsorted(self.edges_s, middles_s, side="right") - 1, 0, self.n_frames - 1)

    def from_steps(self, spans):
        """Half-open spans `[k, 2]` in steps of the 30 fps axis -> in frames, real-valued."""
        if not self.variable:
            return intervals.to_source_axis(spans, self.fps)
        return np.interp(spans / intervals.FEATURE_FPS, self.edges_s, np.arange(self.n_frames + 1))

    def seconds(self, onset, offset):
        """Inclusive frames -> `(onset_s, offset_s)`: when the first begins and when the last ends."""
        return self.edges_s[onset], self.edges_s[np.asarray(offset) + 1]


def of_video(n_frames, fps, times_s=None):
    """The Axis of a video with a mean rate and, where they are known, time stamps `[n_frames]` from 0."""
    regular_s = np.arange(n_frames + 1) / fps
    if times_s is None or len(times_s) != n_frames or np.abs(times_s - regular_s[:-1]).max() <= TOLERANCE / fps:
        return Axis(n_frames, fps, regular_s, variable=False)
    last_s = float(np.median(np.diff(times_s)))
    return Axis(n_frames, fps, np.append(times_s, times_s[-1] + last_s), variable=True)
