"""MDMD, main directional maximal difference: the optical-flow baseline without training.

Wang et al. 2017, "A main directional maximal difference analysis for spotting facial movements from long-term videos"
(Neurocomputing 230), and He et al. 2020, "Spotting macro- and micro-expression intervals in long video sequences" (MEGC
2019's baseline, which adds the interval rule). Reproduced: the picture in `blocks` x `blocks`; in each the main one of
four directions of the flow from the frame k before; how much longer that flow is than the one from k before to k after
(an expression comes and goes), averaged over the `share` longest vectors of the main direction; the mean over the
`share` blocks with the largest difference; the curve less its values at k - 1 to both sides; peaks are expressions, and
an interval reaches k to both sides. Differs: DIS flow of the aligned crop, cached at 42 px (theirs: Farneback or
TV-L1); the flow over 2k is the sum of the two over k, which aligned crops allow; theirs takes runs above the threshold
and widens them. k: half the mean length of the fold's training expressions, of macro and micro each its own where both
are ground truth, as theirs; then what the two curves give is joined, each by its own threshold on held-out subjects.

Own protocol: threshold mean + p (max - mean) per video, with the one p that is best on the whole data set (theirs: one
for each type).
"""

import numpy as np

from fedn_pipeline.cascades.gap import half_length
from fedn_pipeline.detection.threshold import choose_threshold
from fedn_pipeline.features import cache
from fedn_pipeline.peers import curves, habits, needs
from fedn_pipeline.peers.task import Spotter, detections


def difference(before, after, settings):
    """The main directional maximal difference `[n]` of flows `[n, 2, side, side]` (u, v).

    `before`: from k before to now; `after`: from now to k after.
    """
    n, _, side, _ = before.shape
    size = side // settings["blocks"]
    used = size * settings["blocks"]

    def blocks(value):
        parts = value[:, :used, :used].reshape(n, settings["blocks"], size, settings["blocks"], size)
        return parts.transpose(0, 1, 3, 2, 4).reshape(n, settings["blocks"] ** 2, size * size)

    whole = before + after
    length, gone = blocks(np.hypot(before[:, 0], before[:, 1])), blocks(np.hypot(whole[:, 0], whole[:, 1]))
    turn = blocks(np.arctan2(before[:, 1], before[:, 0])) / (2 * np.pi)
    direction = np.floor(turn * settings["directions"] + 0.5).astype(np.int64) % settings["directions"]
    votes = np.stack([(direction == d).sum(axis=2) for d in range(settings["directions"])])
    in_main = direction == votes.argmax(axis=0)[..., None]
    count = np.maximum(1, np.round(settings["share"] * in_main.sum(axis=2))).astype(np.int64)
    ordered = -np.sort(-np.where(in_main, length - gone, -np.inf), axis=2)
    ordered[~np.isfinite(ordered)] = 0
    of_block = np.take_along_axis(ordered.cumsum(axis=2), count[..., None] - 1, axis=2)[..., 0] / count
    most = max(1, round(settings["share"] * of_block.shape[1]))
    return -np.sort(-of_block, axis=1)[:, :most].mean(axis=1)


def curve(entry, gap, settings):
    """The spotting curve `[n_steps]` float64 of one video's flow (cache.Features): 0 where a face is missing."""
    n = len(entry.valid)
    found, measured = np.zeros(n), np.zeros(n, dtype=bool)
    if n > 2 * gap:
        at = np.flatnonzero(entry.valid[: n - gap] & entry.valid[gap:])  # flow starts gap before, and here
        measured[at + gap] = True
        for part in np.array_split(at, max(1, len(at) // settings["batch_size"])):
            if len(part):
                before, after = (entry.features[steps, :2].astype(np.float32) for steps in (part, part + gap))
                found[part + gap] = difference(before, after, settings)
    apart = min(max(1, gap - 1), n)
    # The mean of both sides, or of the one that is measured: at a video's ends, and where a face comes or goes.
    around, beside = np.pad(found, apart), np.pad(measured, apart).astype(np.int64)
    known = beside[: -2 * apart] + beside[2 * apart :]
    sides = (around[: -2 * apart] + around[2 * apart :]) / np.maximum(1, known)
    return np.where(measured, np.maximum(found - sides, 0), 0)


def fit(task, inputs):
    """A Spotter: nothing is trained; k of each type comes from the training subjects' labels, by needs.py."""
    train, theirs = task.parts.train, task.videos[task.videos.video_id.isin(task.parts.held_out)]
    of_types = [part for part in needs.by_type(task.events) if part.video_id.isin(train).any()]
    of_types = [(half_length(task.videos, part[part.video_id.isin(train)]), part) for part in of_types]
    of_types.sort(key=lambda pair: -pair[0])
    gaps = [min(inputs.motion, key=lambda gap, half=half: abs(gap - half)) for half, _ in of_types]
    shortest = min(inputs.motion)

    def valid(video):
        starts = cache.read_valid(inputs.motion[shortest], video)
        return starts | np.roll(starts, shortest)  # a step shows a face if a flow starts or ends there

    def of_type(video, half, gap, limit):
        height = curve(cache.read(inputs.motion[gap], video), gap, task.own)
        spans, heights = curves.around_peaks(height, half, round(half))
        usual = max(float(np.median(height[height > 0])) if (height > 0).any() else 0.0, task.own["least"])
        return spans, heights / (heights + limit * usual), curves.relative(heights, height)

    def limit_of(half, gap, truth):
        """How many times its usual height a curve of one type has at the threshold that is best for that type."""
        alone = Spotter(lambda video: of_type(video, half, gap, 1), valid, {}, {}, [], "", 0)
        found, evaluation = detections(alone, theirs, task.settings["detections"]), task.settings["evaluation"]
        chosen = choose_threshold(found, truth, theirs, evaluation["iou"], evaluation["fallback_threshold"])
        if not chosen["spotting_f1"]:
            return 1  # they show nothing of this type that could say
        return chosen["threshold"] / (1 - chosen["threshold"])

    # One threshold serves both curves, so each is measured by its own.
    several = len(of_types) > 1
    chosen = [
        (half, gap, limit_of(half, gap, truth) if several else 1)
        for (half, truth), gap in zip(of_types, gaps, strict=True)
    ]

    def spot(video):
        found = [of_type(video, *settings) for settings in chosen]
        return tuple(np.concatenate(part) for part in zip(*found, strict=True))

    habit = habits.Habit("mean + p (max - mean) per video, p best on all test subjects").as_dict()
    words = f"no training; k {' and '.join(map(str, gaps))} steps from the training subjects"
    return Spotter(spot, valid, habit, {}, [], words, 0)
