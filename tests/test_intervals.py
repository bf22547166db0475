"""Interval arithmetic against torchvision's boxes, against arithmetic by hand, and its gradients."""

import numpy as np
import pytest
import torch
from torchvision import ops

from fedn_pipeline import intervals


def random_intervals(seed, n, zero_lengths=False):
    random = np.random.default_rng(seed)
    start = random.random(n) * 30
    length = random.random(n) * 20 + (0 if zero_lengths else 0.1)
    return np.stack([start, start + length * (random.random(n) > 0.3 if zero_lengths else 1)], axis=-1)


def boxes(a, height):
    """Intervals `[n, 2]` as boxes `[n, 4]` (x1, y1, x2, y2) of one height."""
    zero = torch.zeros(len(a), dtype=torch.float64)
    return torch.stack([torch.as_tensor(a[:, 0]), zero, torch.as_tensor(a[:, 1]), zero + height], dim=-1)


@pytest.mark.parametrize("seed", range(20))
def test_iou_and_giou_equal_torchvision(seed):
    """Boxes of height 1: areas are lengths."""
    a, b = random_intervals(seed, 30), random_intervals(seed + 100, 40)
    np.testing.assert_allclose(intervals.pairwise_iou(a, b), ops.box_iou(boxes(a, 1), boxes(b, 1)).numpy(), atol=1e-12)
    np.testing.assert_allclose(
        intervals.giou(a[:, None], b[None]),
        ops.generalized_box_iou(boxes(a, 1), boxes(b, 1)).numpy(),
        atol=1e-12,
    )


@pytest.mark.parametrize("seed", range(20))
def test_diou_equals_torchvision(seed):
    """Boxes so flat that their height is lost in the diagonal of the enclosing box (height 1 would enter it)."""
    a, b = random_intervals(seed, 30), random_intervals(seed + 100, 40)
    flat = ops.distance_box_iou(boxes(a, 1e-4), boxes(b, 1e-4)).numpy()
    # torchvision adds 1e-7 to the squared diagonal, which is at least 0.1 ** 2
    np.testing.assert_allclose(intervals.diou(a[:, None], b[None]), flat, atol=1e-5)


@pytest.mark.parametrize(
    ("a", "b", "iou", "giou", "diou"),
    [
        ((0, 10), (0, 10), 1, 1, 1),
        ((0, 10), (5, 15), 5 / 15, 5 / 15, 5 / 15 - (5 / 15) ** 2),
        ((0, 10), (10, 20), 0, 0, -((10 / 20) ** 2)),
        ((0, 10), (30, 40), 0, -20 / 40, -((30 / 40) ** 2)),
        ((0, 10), (4, 6), 2 / 10, 2 / 10, 2 / 10),
    ],
)
def test_by_hand(a, b, iou, giou, diou):
    a, b = np.array(a, dtype=float), np.array(b, dtype=float)
    for function, expected in ((intervals.iou, iou), (intervals.giou, giou), (intervals.diou, diou)):
        assert function(a, b) == pytest.approx(expected)
        assert function(b, a) == pytest.approx(expected)
        assert function(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(expected)


@pytest.mark.parametrize("function", [intervals.iou, intervals.giou, intervals.diou])
def test_gradients_equal_finite_differences(function):
    a, b = (torch.tensor(random_intervals(seed, 40), requires_grad=True) for seed in (1, 2))
    overlapping = intervals.iou(a, b) > 0
    assert 0 < overlapping.sum() < 40  # both cases are there
    assert torch.autograd.gradcheck(function, (a, b), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("function", [intervals.iou, intervals.giou, intervals.diou])
def test_values_and_gradients_are_finite_for_degenerate_intervals(function):
    rows = [[5, 5], [5, 10], [10, 5], [0, 0], [-1e6, 1e6], [5, 5 + 1e-12]]
    a = torch.tensor(rows, dtype=torch.float64).repeat_interleave(6, dim=0).requires_grad_()
    b = torch.tensor(rows, dtype=torch.float64).repeat(6, 1).requires_grad_()
    values = function(a, b)
    values.sum().backward()
    assert torch.isfinite(values).all() and torch.isfinite(a.grad).all() and torch.isfinite(b.grad).all()


def test_numpy_and_torch_agree():
    a, b = random_intervals(1, 200, zero_lengths=True), random_intervals(2, 200, zero_lengths=True)
    for function in (intervals.iou, intervals.giou, intervals.diou, intervals.coverage, intervals.intersection):
        np.testing.assert_array_equal(function(a, b), function(torch.tensor(a), torch.tensor(b)).numpy())


def test_frames_are_counted_inclusively():
    ten = intervals.half_open(10, 19)
    assert intervals.length(ten) == 10
    for a, b in (
        (intervals.half_open(o, f), intervals.half_open(p, g)) for o, f, p, g in [(0, 9, 5, 14), (3, 3, 3, 8)]
    ):
        first, second = (set(range(int(x[0]), int(x[1]))) for x in (a, b))
        assert intervals.iou(a, b) == len(first & second) / len(first | second)


def test_decoding_gives_at_least_one_frame():
    onset, offset = intervals.inclusive(np.array([[9.6, 20.4], [9.6, 9.7], [9.6, 3.0]]))
    assert onset.tolist() == [10, 10, 10] and offset.tolist() == [19, 10, 10]


def test_inclusive_inverts_half_open():
    onset = np.arange(50)
    back = intervals.inclusive(intervals.half_open(onset, onset[::-1] + 50))
    assert back[0].tolist() == onset.tolist() and back[1].tolist() == (onset[::-1] + 50).tolist()


def test_coverage_is_the_share_that_lies_inside():
    inner, outer = np.array([[0.0, 10.0], [20.0, 30.0], [0.0, 0.0]]), np.array([[5.0, 40.0]])
    assert intervals.coverage(inner, outer).tolist() == [0.5, 1.0, 0.0]


@pytest.mark.parametrize(
    ("n_frames", "fps", "expected"), [(100, 30, 100), (100, 15, 200), (2000, 200, 300), (1, 200, 1)]
)
def test_feature_axis(n_frames, fps, expected):
    frames = intervals.source_frames(n_frames, fps)
    assert len(frames) == intervals.n_steps(n_frames, fps) == expected
    assert frames[0] == 0 and frames[-1] < n_frames and (np.diff(frames) >= 0).all()
    nearest = np.abs(frames - np.arange(expected) * fps / intervals.FEATURE_FPS)
    assert (nearest <= 0.5).all() or n_frames == 1
    there = intervals.to_feature_axis(np.array([[30.0, 60.0]]), fps)
    np.testing.assert_allclose(intervals.to_source_axis(there, fps), [[30.0, 60.0]])
