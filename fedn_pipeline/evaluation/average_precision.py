"""Average precision of a ranking of predictions, for many weightings of its subjects at once.

Two variants: COCO's (precision envelope read at 101 recalls; Lin et al. 2014) and the all-point one of the
ActivityNet tool (area under the same envelope). A weight says how often a subject counts, as in a bootstrap
draw: the result equals that of a ranking in which each of its predictions and ground truths stands that many
times.
"""

import numpy as np

RECALLS = np.linspace(0, 1, 101)  # COCO's definition; the same floats as pycocotools
CELLS_AT_ONCE = 2**17  # draws x true positives whose arrays stay in the processor's cache; no result depends on it


def average_precision(true_positive, subject, n_ground_truth, weights):
    """AP of one ranking at several IoU thresholds, once per draw.

    `true_positive [n_thresholds, n]` bool and `subject [n]` int describe the predictions in descending
    confidence; `n_ground_truth [n_subjects]`; `weights [n_draws, n_subjects]` whole numbers. Returns
    `(interpolated, all_point)`, each `[n_thresholds, n_draws]` float64, NaN in draws without ground truth.

    Only true positives move the envelope: false positives enter through the number of predictions ranked so
    far.
    """
    weights = np.asarray(weights, dtype=np.float64)
    points = np.flatnonzero(true_positive.any(axis=0))
    hits, subject_of_point = true_positive[:, points], subject[points]
    counts = _counts_up_to(points, subject, weights.shape[1])
    # never a block of a single draw: NumPy adds one row up in another order
    n_blocks = min(len(weights) // 2, len(weights) * len(points) // CELLS_AT_ONCE)
    blocks = np.array_split(weights, max(1, n_blocks))
    parts = [_of_draws(hits, subject_of_point, counts, n_ground_truth, block) for block in blocks]
    return tuple(np.concatenate(variant, axis=1) for variant in zip(*parts, strict=True))


def _of_draws(hits, subject, counts, n_ground_truth, weights):
    """`average_precision` from what stands at the points, the ranks of true positives.

    `hits [n_thresholds, n_points]`, `subject [n_points]`, `counts [n_subjects, n_points]` as `_counts_up_to` gives it.
    """
    total = weights @ np.asarray(n_ground_truth, dtype=np.float64)
    ranked_so_far = weights @ counts
    interpolated, all_point = np.zeros((2, len(hits), len(weights)))
    for t, hit in enumerate(hits):
        if hit.any():
            found = np.cumsum(weights[:, subject[hit]], axis=1)
            interpolated[t], all_point[t] = _areas(found, ranked_so_far[:, hit], total)
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
