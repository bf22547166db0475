"""The recall ceiling: how much of a data set's ground truth a configuration can find at all, before any training.

Two bounds, from annotations alone. Geometric: what a prediction inside one window can reach, wherever the window lies
(model.md, "A finding to keep visible"). Assignable: the expressions that some prediction is trained to answer for in
some training window; `windows.annotate` and `targets.assign` themselves decide. Serves the command `ceiling` and the
report.
"""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import torch

from fedn_pipeline import intervals
from fedn_pipeline.model import geometry
from fedn_pipeline.training import data, targets, windows

ONE_CLASS = [""]  # emotions do not matter here


def compute(videos, events, others, settings):
    """The ceiling as a dictionary: counts, and shares (null without ground truth), of all and `by_duration`.

    `videos` need `video_id, fps`; where `n_frames` is unknown a video is taken to go on after its last event for as
    long as the longest window. `events` is the ground truth, `others` the events that are ignored. `settings`: sections
    windows, model, training, evaluation.
    """
    chosen, evaluation = settings["windows"], settings["evaluation"]
    grid = geometry.build(chosen, settings["model"])
    rates, window = sorted(chosen["rates"]), geometry.window_frames(chosen)
    annotated = videos[videos.video_id.isin(events.video_id)]
    truth = data.events_on_feature_axis(events, others, videos, list(annotated.video_id), ONE_CLASS)
    parts = [(np.zeros((0, 2)), np.zeros(0, dtype=bool))]
    for video, (spans, classes) in zip(annotated.itertuples(), truth, strict=True):
        answered = _answered(spans, classes, _n_steps(video, spans, window * rates[-1]), settings, grid)
        parts.append((spans[classes >= 0], answered[classes >= 0]))
    spans, assignable = (np.concatenate(column) for column in zip(*parts, strict=True))
    length = intervals.length(spans)
    best_iou = np.minimum(1, window * rates[-1] / np.maximum(length, 1))  # of the event's part that a window holds
    short = length < settings["model"]["level_strides"][0] * rates[0]

    def bounds(members):
        return _bounds(best_iou[members], assignable[members], evaluation)

    edges_s = [0.0, *evaluation["duration_edges_s"], math.inf]
    bins = []
    for low, high in pairwise(edges_s):
        members = (length >= low * intervals.FEATURE_FPS) & (length < high * intervals.FEATURE_FPS)
        bins.append({"from_s": low, "to_s": high if math.isfinite(high) else None, **bounds(members)})
    return {
        "window_frames": window,
        "rates": rates,
        "videos": len(videos),
        "videos_of_unknown_length": int(videos.n_frames.isna().sum()),
        **bounds(np.ones(len(spans), dtype=bool)),
        "longer_than_window": int((length > window).sum()),
        "longer_than_longest_window": int((length > window * rates[-1]).sum()),
        "shorter_than_first_stride": int(short.sum()),
        "shorter_than_first_stride_unassigned": int((short & ~assignable).sum()),
        "by_duration": bins,
    }


def _n_steps(video, spans, longest):
    """Length of a video, a row of videos.csv, on the 30 fps axis."""
    if pd.isna(video.n_frames):
        return math.ceil(spans[:, 1].max()) + longest
    return intervals.n_steps(video.n_frames, video.fps)


def _answered(spans, classes, n_steps, settings, grid):
    """Which events of one video are the target of some prediction in some training window, at any rate: `[e]` bool."""
    found = np.zeros(len(spans), dtype=bool)
    chosen = settings["windows"]
    cut = windows.cut([n_steps], chosen, chosen["train_stride"])
    covers = np.stack([cut.start, cut.start + geometry.window_frames(chosen) * cut.rate], axis=1).astype(np.float64)
    held = windows.holds(spans[None], classes[None], covers[:, None], cut.rate[:, None], chosen)  # [W, e]
    for number in np.flatnonzero(held.any(1)):
        if found[held[number]].all():
            continue
        one = windows.Windows(*(column[[number]] for column in (cut.video, cut.start, cut.rate)))
        (annotation,) = windows.annotate(one, [(spans, classes)], chosen)
        matched, answers = targets.assign(annotation, grid, settings["model"], settings["training"])
        truth = torch.as_tensor(annotation.targets, dtype=torch.float32)
        found[held[number]] |= (matched[answers >= 0][:, None] == truth).all(-1).any(0).numpy()
    return found


def _bounds(best_iou, assignable, evaluation):
    """Counts and shares of some events: geometric at `evaluation.iou` and on average over `map_ious`; assignable."""
    total = len(best_iou)
    within = best_iou >= evaluation["iou"]
    within_each = best_iou[:, None] >= np.array(evaluation["map_ious"])

    def share(hits):
        return float(hits.mean()) if total else None

    return {
        "ground_truth": total,
        "geometric": {"count": int(within.sum()), "share": share(within), "mean_share": share(within_each)},
        "assignable": {"count": int(assignable.sum()), "share": share(assignable)},
    }


def describe(result):
    """The dictionary of `compute` as text for the terminal."""

    def row(name, part):
        geometric = part["geometric"]
        shares = (geometric["share"], geometric["mean_share"], part["assignable"]["share"])
        cells = "".join(f"{'-' if share is None else f'{100 * share:.1f}':>14}" for share in shares)
        return f"{name:>10}{part['ground_truth']:>8}{cells}"

    rates = ", ".join(map(str, result["rates"]))
    lines = [
        "Share of the expressions that can be found, in percent; windows of "
        f"{result['window_frames']} steps of {rates} frame(s).",
        f"{'duration':>10}{'events':>8}{'geometric':>14}{'averaged':>14}{'assignable':>14}",
        *(row(_name(part), part) for part in result["by_duration"]),
        row("all", result),
        "geometric: at the IoU of F1; averaged: over the IoUs of mAP; assignable: some prediction is trained on it.",
        f"Longer than {result['window_frames']} frames: {result['longer_than_window']}; than the longest window: "
        f"{result['longer_than_longest_window']}. Shorter than the first level's stride: "
        f"{result['shorter_than_first_stride']}, of them not assignable: "
        f"{result['shorter_than_first_stride_unassigned']}.",
    ]
    if result["videos_of_unknown_length"]:
        unknown = f"{result['videos_of_unknown_length']} of {result['videos']} videos"
        lines.append(f"{unknown}: length unknown; taken to go on after the last expression.")
    return "\n".join(lines)


def _name(part):
    return f"{part['from_s']:g}-{part['to_s']:g} s" if part["to_s"] else f"> {part['from_s']:g} s"
