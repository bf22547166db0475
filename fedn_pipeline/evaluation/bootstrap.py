"""Confidence intervals over subjects, and paired differences of two methods on the same draws.

The last step of the evaluation: subjects are drawn with replacement, all runs (seeds, chance draws) of a
method inside each draw, and the interval lies between percentiles of the draws (Efron & Tibshirani 1993,
percentile method). Matches do not depend on the draw, so a draw is a weight per subject. Source:
evaluation.md, "Uncertainty".
"""

import logging
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fedn_pipeline.evaluation.metrics import (
    COUNTS,
    METRICS,
    collect,
    default_settings,
    score,
    subjects,
    with_kept,
)
from fedn_pipeline.files import InputError

log = logging.getLogger(__name__)


class Interval(NamedTuple):
    """A value and its confidence interval; None where undefined."""

    value: float | None
    low: float | None
    high: float | None


def draw_weights(n_subjects, settings):
    """How often each subject counts `[1 + n_draws, n_subjects]`; row 0 is the sample itself, all ones."""
    random = np.random.default_rng(settings["bootstrap_seed"])
    drawn = random.integers(0, n_subjects, size=(settings["bootstrap_draws"], n_subjects))
    weights = np.ones((1 + len(drawn), n_subjects), dtype=np.int64)
    weights[1:] = [np.bincount(draw, minlength=n_subjects) for draw in drawn]
    return weights


def draw_scores(videos, events, runs, settings=None):
    """Every count and metric of a method, `[1 + n_draws]` by name; the sample's own first.

    `runs`: detection tables (with `kept`) of one method, one per seed or chance draw. Each value is the mean over the
    runs in which the metric is defined. `settings`: section `evaluation` of the schema.
    """
    settings = settings or default_settings()
    weights = draw_weights(len(subjects(videos)), settings)
    if not runs:
        raise InputError("evaluation: a method needs at least one detection table")
    defined = {name: np.zeros(len(weights)) for name in COUNTS + METRICS}
    total = {name: np.zeros(len(weights)) for name in COUNTS + METRICS}
    for detections in tqdm(runs, desc="bootstrap", unit="run", disable=len(runs) == 1):
        scores = score(collect(videos, events, with_kept(detections), settings), weights)
        for name, values in scores.items():
            defined[name] += ~np.isnan(values)
            total[name] += np.nan_to_num(values, nan=0.0)
    return {name: np.where(defined[name] > 0, total[name] / np.maximum(defined[name], 1), np.nan) for name in total}


def difference(a, b):
    """Scores of method a minus those of b, draw by draw; both as `draw_scores` gives them, on the same videos.

    An interval above 0 means that a is better; a draw in which either is undefined is.
    """
    return {name: a[name] - b[name] for name in a}


def summary(videos, scores, settings=None):
    """Name -> Interval of scores that `draw_scores` or `difference` gave on `videos`.

    Draws in which a metric is undefined are left out of its percentiles, and their number is logged. With a single
    subject there is no interval (None).
    """
    settings = settings or default_settings()
    weights = draw_weights(len(subjects(videos)), settings)
    return {name: interval(name, values, weights, settings) for name, values in scores.items()}


def interval(name, scores, weights, settings):
    """Percentile Interval of one metric from its scores `[1 + n_draws]`, the sample's own first; `name` for the log."""
    value, draws = scores[0], scores[1:]
    defined = draws[~np.isnan(draws)]
    if np.isnan(value):
        return Interval(None, None, None)
    if len(defined) < len(draws):
        n_undefined = len(draws) - len(defined)
        log.warning("%s: undefined in %d of %d bootstrap draws, left out", name, n_undefined, len(draws))
    if weights.shape[1] < 2 or not len(defined):
        return Interval(float(value), None, None)
    tail = (1 - settings["confidence_level"]) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high))
