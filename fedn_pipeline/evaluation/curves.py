"""What the report's figures show of a method: AP at each IoU, recall by duration, confusions of the emotions.

From the same matches and the same bootstrap draws over subjects as the table's metrics (evaluation.md); AP's mean over
the IoU thresholds is the table's mAP. Used by the report only.
"""

from itertools import pairwise

import numpy as np
import pandas as pd

from fedn_pipeline.dataset import tables
from fedn_pipeline.evaluation.bootstrap import draw_weights, interval
from fedn_pipeline.evaluation.metrics import ap_by_iou, collect, subjects, with_kept
from fedn_pipeline.matching import UNMATCHED, match


def ap_curves(videos, events, runs, settings):
    """Table `kind, iou, value, low, high`: AP of `spotting` and `detection` at each of `map_ious`, mean over `runs`.

    Arguments as in `bootstrap.draw_scores`. A method without emotions has no rows of kind `detection`.
    """
    weights = draw_weights(len(subjects(videos)), settings)
    curves = [ap_by_iou(collect(videos, events, with_kept(run), settings), weights) for run in runs]
    rows = []
    for kind in ("spotting", "detection"):
        defined = [curve[kind] for curve in curves if curve[kind] is not None]
        if not defined:
            continue
        for iou, values in zip(settings["map_ious"], np.mean(defined, axis=0), strict=True):
            rows.append({"kind": kind, "iou": iou, **interval(f"{kind} AP", values, weights, settings)._asdict()})
    return pd.DataFrame(rows, columns=["kind", "iou", "value", "low", "high"])


def duration_bins(edges_s):
    """Names of the bins between `edges_s` and on both sides of them, shortest first."""
    if not edges_s:
        return ["all"]
    inner = [f"{low:g}–{high:g}" for low, high in pairwise(edges_s)]
    return [f"< {edges_s[0]:g}", *inner, f"≥ {edges_s[-1]:g}"]


def duration_bin(videos, events, edges_s):
    """Index of each event's duration in `duration_bins`, `[n_events]` int64; one on an edge is in the longer bin."""
    fps = events.video_id.map(videos.set_index("video_id").fps).to_numpy(dtype=np.float64)
    return np.searchsorted(edges_s, (events.offset - events.onset + 1).to_numpy() / fps, side="right")


def recall_by_duration(videos, events, runs, settings):
    """Table `duration_s, n_ground_truth, value, low, high`: recall of the kept detections in each duration bin.

    The bins lie between `duration_edges_s`; mean over `runs`, interval over subjects; without ground truth no value.
    """
    names, edges_s = subjects(videos), settings["duration_edges_s"]
    weights = draw_weights(len(names), settings).astype(np.float64)
    subject = videos.set_index("video_id").subject.map({name: i for i, name in enumerate(names)})
    cell = events.video_id.map(subject).to_numpy(dtype=np.int64), duration_bin(videos, events, edges_s)
    total, found = np.zeros((2, len(names), len(edges_s) + 1))
    np.add.at(total, cell, 1)
    for run in runs:
        matched = match(run[run.kept], events, [settings["iou"]])[0]
        hit = matched[matched != UNMATCHED]
        np.add.at(found, (cell[0][hit], cell[1][hit]), 1 / len(runs))
    ground_truth = weights @ total  # [1 + n_draws, n_bins]
    recall = np.divide(weights @ found, ground_truth, out=np.full(ground_truth.shape, np.nan), where=ground_truth > 0)
    rows = [
        {"duration_s": name, "n_ground_truth": int(total[:, i].sum())}
        | interval(f"recall {name} s", recall[:, i], weights, settings)._asdict()
        for i, name in enumerate(duration_bins(edges_s))
    ]
    return pd.DataFrame(rows)


def confusion(videos, events, runs, settings):
    """Spotted true positives by true (rows) and predicted emotion (columns), mean over `runs`; None without emotions.

    The column `other` holds predicted emotions that no ground truth has.
    """
    names = tables.emotions(events)
    evidence = [collect(videos, events, with_kept(run), settings) for run in runs]
    counts = [found.confusion.sum(axis=0) for found in evidence if found.emotions is not None]
    if not counts:
        return None
    return pd.DataFrame(np.mean(counts, axis=0), index=pd.Index(names, name="true"), columns=[*names, "other"])
