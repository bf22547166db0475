"""Targets against a slow, literal reading of model.md, one prediction at a time."""

import numpy as np
import pytest

from fedn_pipeline import config
from fedn_pipeline.model import geometry
from fedn_pipeline.training.targets import IGNORED, NEGATIVE, assign
from fedn_pipeline.training.windows import Annotation

SETTINGS = config.validate({})
GRID = geometry.build(SETTINGS["windows"], SETTINGS["model"])


def iou(a, b):
    overlap = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    return overlap / (a[1] - a[0] + b[1] - b[0] - overlap)


def slow_reading(annotation):
    """`(class or NEGATIVE or IGNORED, interval or None)` of every prediction, in the order of geometry.build."""
    strides, ranges = [8, 16, 32, 64], [(0, 10), (8, 32), (16, 64), (64, 128)]
    result = []
    for stride, (low, high) in zip(strides, ranges, strict=True):
        points = [i * stride + stride / 2 for i in range(128 // stride)]
        for p in points:  # anchor-free
            answers = []
            for (start, end), label in zip(annotation.targets, annotation.classes, strict=True):
                if start <= p < end and low <= max(p - start, end - p) <= high:
                    answers.append((end - start, label, (start, end)))
            if answers:
                _, label, span = min(answers, key=lambda answer: answer[0])
                result.append((label, span))
            elif any(start <= p < end for start, end in annotation.ignored):
                result.append((IGNORED, None))
            else:
                result.append((NEGATIVE, None))
        for p in points:  # anchor-based
            for width in (0.5, 0.75, 1, 1.5, 2):
                anchor = (p - width * stride / 2, p + width * stride / 2)
                scored = [
                    (iou(anchor, t), c, tuple(t)) for t, c in zip(annotation.targets, annotation.classes, strict=True)
                ]
                best = max(scored, key=lambda s: s[0], default=(0, None, None))
                touches = any(min(anchor[1], end) > max(anchor[0], start) for start, end in annotation.ignored)
                if best[0] > 0.5:
                    result.append((best[1], best[2]))
                elif best[0] >= 0.4 or touches:
                    result.append((IGNORED, None))
                else:
                    result.append((NEGATIVE, None))
    return [left_to_another_rate(number, answer, annotation) for number, answer in enumerate(result)]


def left_to_another_rate(number, answer, annotation):
    """Ignored instead of negative for an event that another rate answers for: what would be positive or undecided for
    it, and on the first level (too short) or the last (too long) whatever touches it."""
    level, point, width = GRID.level[number].item(), GRID.point[number].item(), GRID.width[number].item()
    low, high = SETTINGS["model"]["level_ranges"][level]
    cell = (point - width / 2, point + width / 2)
    for spans, nearest in ((annotation.too_short, 0), (annotation.too_long, 3)):
        for start, end in spans:
            touches = cell[1] > start and cell[0] < end
            if GRID.anchor_free[number]:
                fits = start <= point < end and low <= max(point - start, end - point) <= high
            else:
                fits = iou(cell, (start, end)) >= 0.4
            if answer[0] == NEGATIVE and (fits or (touches and level == nearest)):
                return (IGNORED, None)
    return answer


def random_annotation(rng, several_rates=False):
    """Up to 5 events in a window, some cut by its edge; lengths from 2 to 128 frames, positions off the grid.

    At several rates up to 512, and those which another rate answers for set apart.
    """
    targets, ignored, too_short, too_long = [], [], [], []
    for _ in range(rng.integers(0, 6)):
        length = 2 ** rng.uniform(1, 9 if several_rates else 7)
        start = rng.uniform(-20, 128)
        inside = max(0, min(128, start + length) - max(0, start)) / length
        if several_rates and (length < 8 or length > 128 / 0.9):
            if inside > 0:
                (too_short if length < 8 else too_long).append((max(0.0, start), min(128.0, start + length)))
        elif inside > 0.9:
            targets.append((max(0.0, start), min(128.0, start + length)))
        elif inside > 0:
            ignored.append((start, start + length))
    # float32 like the network's, so that both readings compare the same numbers
    as_array = lambda rows: np.array(rows, dtype=np.float32).reshape(-1, 2)  # noqa: E731
    classes = rng.integers(0, 4, len(targets))
    return Annotation(as_array(targets), classes, *map(as_array, (ignored, too_short, too_long)))


@pytest.mark.parametrize("seed", range(300))
def test_targets_equal_slow_reading(seed):
    annotation = random_annotation(np.random.default_rng(seed), several_rates=seed >= 200)
    spans, classes = assign(annotation, GRID, SETTINGS["model"], SETTINGS["training"])
    for number, (wanted, span) in enumerate(slow_reading(annotation)):
        assert classes[number].item() == wanted, f"prediction {number}"
        if span is not None:
            assert spans[number].tolist() == pytest.approx(span, abs=1e-4)


def test_random_annotations_reach_every_case():
    counts = {"positive free": 0, "positive based": 0, NEGATIVE: 0, IGNORED: 0}
    for seed in range(100):
        _, classes = assign(
            random_annotation(np.random.default_rng(seed)), GRID, SETTINGS["model"], SETTINGS["training"]
        )
        counts["positive free"] += int(((classes >= 0) & GRID.anchor_free).sum())
        counts["positive based"] += int(((classes >= 0) & ~GRID.anchor_free).sum())
        counts[NEGATIVE] += int((classes == NEGATIVE).sum())
        counts[IGNORED] += int((classes == IGNORED).sum())
    assert min(counts.values()) > 100, counts


def test_empty_window_is_all_negative():
    empty = Annotation(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.zeros((0, 2)))
    _, classes = assign(empty, GRID, SETTINGS["model"], SETTINGS["training"])
    assert (classes == NEGATIVE).all()


def positives(start, length):
    annotation = Annotation(np.array([[start, start + length]], dtype=float), np.array([0]), np.zeros((0, 2)))
    _, classes = assign(annotation, GRID, SETTINGS["model"], SETTINGS["training"])
    return int((classes >= 0).sum())


def test_every_duration_of_the_demo_has_a_positive_wherever_it_lies():
    """From 0.4 s (12 frames) on; the published design leaves some shorter events between its points (see below)."""
    for length in range(12, 121, 3):
        for start in range(0, 128 - length, 3):
            assert positives(start, length) > 0, f"no prediction answers for [{start}, {start + length})"


def test_published_design_misses_some_events_of_6_frames():
    assert positives(61, 6) == 0 and positives(57, 6) > 0


def assign_left(too_short=(), too_long=()):
    none, classes = np.zeros((0, 2)), np.zeros(0, dtype=np.int64)
    left = (np.array(spans, dtype=float).reshape(-1, 2) for spans in (too_short, too_long))
    return assign(Annotation(none, classes, none, *left), GRID, SETTINGS["model"], SETTINGS["training"])[1]


def test_event_left_to_another_rate_silences_the_nearest_level():
    """Neither a short event on a coarse rate nor a long one on a fine rate is a negative to predictions of its scale;
    to all others it is."""
    classes = assign_left(too_short=[(61, 64)])
    near = (GRID.point - GRID.width / 2 < 64) & (GRID.point + GRID.width / 2 > 61)
    assert (classes[near & (GRID.level == 0)] == IGNORED).all() and (near & (GRID.level == 0)).sum() > 6
    assert (classes[~near | (GRID.level > 0)] == NEGATIVE).all()
    classes = assign_left(too_long=[(0, 128)])
    assert (classes[GRID.level == 3] == IGNORED).all() and (classes[GRID.level < 2] == NEGATIVE).all()
    between = (GRID.level == 2) & ~GRID.anchor_free & (GRID.width == 64)  # two of them half of the window: undecided
    assert (classes[(GRID.level == 2) & ~between] == NEGATIVE).all() and (classes[between] == IGNORED).sum() == 2


@pytest.mark.parametrize("span, kind", [((9, 16.5), "too_short"), ((90, 128), "too_long"), ((0, 40), "too_long")])
def test_what_would_answer_for_an_event_left_to_another_rate_is_no_negative(span, kind):
    """The same picture in steps is a positive of another event at another rate, and the weights are shared."""
    target = Annotation(np.array([span], dtype=float), np.array([0]), np.zeros((0, 2)))
    _, wanted = assign(target, GRID, SETTINGS["model"], SETTINGS["training"])
    left = assign_left(**{kind: [span]})
    assert (left[wanted != NEGATIVE] == IGNORED).all() and (wanted >= 0).sum() > 3
    other_levels = (wanted == NEGATIVE) & (GRID.level > 0) & (GRID.level < 3)
    assert (left[other_levels] == NEGATIVE).all() and other_levels.sum() > 50


def test_at_a_coarse_rate_every_target_has_a_positive():
    """From `coarse_min_steps` on some prediction answers for an event wherever it lies."""
    shortest = SETTINGS["windows"]["coarse_min_steps"]
    for length in np.arange(shortest, 13):
        for start in np.arange(0, 64, 0.75):  # all levels repeat after 64 steps
            assert positives(start, length) > 0, f"no prediction answers for [{start}, {start + length})"
