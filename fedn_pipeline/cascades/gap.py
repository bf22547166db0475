"""How far apart the two pictures of an optical flow are: half an expression, as learnt from a fold's training subjects.

The workflow asks here which flow cache a fold needs, so nothing heavy is imported. Source: SOFTNet (Liong et al. 2021),
whose k is half the mean length of an expression. Differs from STR (Liong et al. 2023), whose flow spans 0.1 s (3 frames
on CAS(ME)^2); its k', half an expression, serves labels, smoothing, peaks and reach only.
"""

import numpy as np

from fedn_pipeline import intervals
from fedn_pipeline.training.split import split


def half_length(videos, events):
    """Half the mean length of `events` in steps of the 30 fps axis; 1 where there are none."""
    fps = videos.set_index("video_id").fps.loc[events.video_id].to_numpy()
    lengths = intervals.length(intervals.half_open(events.onset, events.offset)) * (intervals.FEATURE_FPS / fps)
    return max(1.0, float(np.mean(lengths)) / 2) if len(lengths) else 1.0


def training_half_length(videos, events, parts):
    """`half_length` over the videos that give the gradient (`parts` is the fold's Split)."""
    return half_length(videos, events[events.video_id.isin(parts.train)])


def gap_of(videos, events, held_out, settings):
    """The gap (steps) of the flow cache that the fold testing group `held_out` reads: the one of `flow.gaps` nearest to
    its half length, of two the smaller.

    `events` is the ground truth (label set and expression types chosen); `settings`: folds.group,
    training.held_out_fraction, flow.gaps. Raises InputError as `split` does.
    """
    parts = split(videos, settings["folds"]["group"], held_out, settings["training"]["held_out_fraction"])
    half = training_half_length(videos, events, parts)
    return min(settings["flow"]["gaps"], key=lambda gap: (abs(gap - half), gap))
