"""Average precision of a ranking of predictions, for many weightings of its subjects at once.

Two variants: COCO's (precision envelope read at 101 recalls; Lin et al. 2014) and the all-point one of the
ActivityNet tool (area under the same envelope). A weight says how often a subject counts, as in a bootstrap
draw: the result equals that of a ranking in which each of its predictions and ground truths stands that many
times.
"""

import numpy as np

RECALLS = np.linspace(0, 1, 101)  # COCO's definition; the same floats as pycocotools


def average_precision(true_positive, subject, n_ground_truth, weights):
    """AP of one ranking at several IoU thresholds, once per draw.

    `true_positive [n_thresholds, n]` bool and `subject [n]` int describe the predictions in descending
    confidence; `n_ground_truth [n_subjects]`; `weights [n_draws, n_subjects]` whole numbers. Returns
    `(interpolated, all_point)`, each `[n_thresholds, n_draws]` float64, NaN in draws without ground truth.

    Only true positives move the envelope: false positives enter through the number of predictions ranked so
    far.
    """
    weights = np.asarray(weights, dtype=np.float64)
    total = weights @ np.asarray(n_ground_truth, dtype=np.float64)
    points = np.flatnonzero(true_positive.any(axis=0))
    ranked_so_far = weights @ _counts_up_to(points, subject, weights.shape[1])
    interpolated, all_point = np.zeros((2, len(true_positive), len(weights)))
    for t, hits in enumerate(true_positive[:, points]):
        if hits.any():
            found = np.cumsum(weights[:, subject[points[hits]]], axis=1)
            interpolated[t], all_point[t] = _areas(found, ranked_so_far[:, hits], total)
    interpolated[:, total == 0] = all_point[:, total == 0] = np.nan
    return interpolated, all_point


def _counts_up_to(points, subject, n_subjects):
    """Number of each subject's predictions at ranks up to and including each point, `[n_subjects, n_points]`."""
    segment = np.searchsorted(points, np.arange(len(subject)))
    inside = segment < len(points)
    flat = subject[inside] * len(points) + segment[inside]
    counts = np.bincount(flat, minlength=n_subjects * len(points))
    return counts.reshape(n_subjects, len(points)).cumsum(axis=1).astype(np.float64)


def _areas(found, ranked, total):
    """Both APs `[n_draws]` from weighted counts `found, ranked [n_draws, n_points]` at the true positives."""
    precision = found / np.maximum(ranked, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = found / np.maximum(total, 1)[:, None]
    passed = np.searchsorted(RECALLS, recall, side="right")
    interpolated = (envelope * np.diff(passed, axis=1, prepend=0)).sum(axis=1) / len(RECALLS)
    return interpolated, (envelope * np.diff(recall, axis=1, prepend=0)).sum(axis=1)
