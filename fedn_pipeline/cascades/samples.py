"""Intervals with the emotion to learn or to find: what every recogniser of the package takes."""

from dataclasses import dataclass

import numpy as np

from fedn_pipeline import intervals

UNLABELLED = -1


@dataclass
class Samples:
    """n intervals: video [n] ids; spans [n, 2] half-open, 30 fps steps; labels [n] int64, a class or UNLABELLED."""

    video: np.ndarray
    spans: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.video)


def of_table(table, videos, classes=()):
    """Samples of the rows of `table` (video_id, onset, offset, emotion) in their order; an emotion that is none of
    `classes` is UNLABELLED."""
    fps = videos.set_index("video_id").fps.loc[table.video_id].to_numpy(dtype=np.float64)
    spans = intervals.to_feature_axis(intervals.half_open(table.onset, table.offset), fps[:, None])
    code = {emotion: number for number, emotion in enumerate(classes)}
    labels = np.array([code.get(emotion, UNLABELLED) for emotion in table.emotion], dtype=np.int64)
    return Samples(table.video_id.to_numpy(dtype=object), spans, labels)


def of_events(events, videos, ids, classes):
    """Samples of the expressions in the videos `ids` that show one of `classes`."""
    chosen = events[events.video_id.isin(ids) & events.emotion.isin(classes)]
    return of_table(chosen.sort_values(["video_id", "onset", "offset"], kind="stable"), videos, classes)


def jittered(spans, share, generator):
    """`spans [n, 2]` with each end moved by up to `share` of the length: spotted intervals are not exact either."""
    moves = generator.uniform(-share, share, size=spans.shape) * intervals.length(spans)[:, None]
    return spans + moves


def joined(*parts):
    """Several Samples, one after the other."""
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("video", "spans", "labels"))
    return Samples(*columns)
