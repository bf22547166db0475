"""What a peer's module is given, and what it gives back (`fit(task, inputs)` -> Spotter)."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from fedn_pipeline import intervals
from fedn_pipeline.detection.candidates import COLUMNS, frames, missing_share
from fedn_pipeline.features import cache
from fedn_pipeline.peers.habits import OWN_SCORE


class Failed(Exception):
    """A method cannot be trained on this data, and why: its row says so instead of a number."""


@dataclass
class Task:
    """A fold's data: videos, events (ground truth), others (annotated, no ground truth), Split, all settings and the
    method's own section, NumPy generator, torch device, and a name for logs."""

    videos: pd.DataFrame
    events: pd.DataFrame
    others: pd.DataFrame
    parts: object
    settings: dict
    own: dict
    generator: np.random.Generator
    device: object
    label: str


@dataclass
class Inputs:
    """Paths: the feature cache, and the flow or region caches by their gap in steps; what a method does not read is
    absent."""

    features: object = None
    motion: dict = field(default_factory=dict)

    @property
    def caches(self):
        """Everything that is given, of motion the shortest gap first."""
        return [*filter(None, [self.features]), *(self.motion[gap] for gap in sorted(self.motion))]

    @property
    def first(self):
        """The cache whose provenance the fold records."""
        return self.caches[0]


def by_gap(paths):
    """`{gap: path}` of flow or region caches, each of which says its gap."""
    return {cache.gap(path): path for path in paths}


@dataclass
class Spotter:
    """A trained peer.

    `spot(video_id)` gives `(spans [k, 2], confidence [k] in [0, 1], own [k])`: half-open intervals on the 30 fps axis,
    what they are ranked by, and the score that the method's own protocol compares with its own threshold (`habit`, of
    peers/habits.py); `valid(video_id)` the steps that show a face `[n_steps]`. `state`: tensors to keep, `log`: rows of
    the training log, `words`: how it was trained, `parameters`: how many numbers were learnt.
    """

    spot: object
    valid: object
    habit: dict
    state: dict
    log: list
    words: str
    parameters: int


def detections(spotter, videos, settings):
    """detections.csv's rows of `videos` with column OWN_SCORE; `settings` is section `detections`."""
    tables = [pd.DataFrame(columns=[*COLUMNS, OWN_SCORE])]
    for video in videos.itertuples():
        spans, confidence, own = spotter.spot(video.video_id)
        keep = confidence >= settings["confidence_floor"]
        keep[keep] &= missing_share(spans[keep], spotter.valid(video.video_id)) <= settings["max_missing_share"]
        onset, offset = frames(intervals.to_source_axis(spans[keep], video.fps), video.n_frames)
        table = pd.DataFrame({
            "video_id": video.video_id, "onset": onset, "offset": offset, "confidence": confidence[keep],
            "emotion": "", OWN_SCORE: own[keep],
        })  # fmt: skip
        tables.append(table.drop_duplicates(["onset", "offset", "confidence"]))
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
