"""Interval arithmetic against torchvision's boxes, against arithmetic by hand, and its gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import ops

from fedn_pipeline import intervals
from fedn_pipeline.faces import source


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


RATES = (15, 24, 25, 30000 / 1001, 30, 50, 60, 200)


@st.composite
def labelled_videos(draw):
    """`(n_frames, fps, onset, offset)`: a label inside a video."""
    n_frames = draw(st.integers(1, 20_000))
    onset = draw(st.integers(0, n_frames - 1))
    return n_frames, draw(st.sampled_from(RATES)), onset, draw(st.integers(onset, n_frames - 1))


@settings(max_examples=300, deadline=None)
@given(labelled_videos())
def test_a_label_survives_the_feature_axis_at_every_frame_rate(video):
    _, fps, onset, offset = video
    steps = intervals.to_feature_axis(intervals.half_open(onset, offset), fps)
    assert intervals.length(steps) / intervals.FEATURE_FPS == pytest.approx((offset + 1 - onset) / fps)  # seconds
    back = intervals.inclusive(intervals.to_source_axis(steps, fps))
    assert (back[0], back[1]) == (onset, offset)
    # Cut to whole steps, an edge is off by half a step of the coarser axis at most, and none of a coarser source.
    again = intervals.to_source_axis(np.rint(steps), fps)
    error_s = np.abs(again - [onset, offset + 1]) / fps
    assert (error_s <= 0.5 / min(fps, intervals.FEATURE_FPS) + 1e-9).all()
    if fps <= intervals.FEATURE_FPS:
        first, last = intervals.inclusive(again)
        assert (first, last) == (onset, offset)


@settings(max_examples=300, deadline=None)
@given(labelled_videos())
def test_each_step_shows_the_nearest_frame(video):
    n_frames, fps, onset, offset = video
    frames = intervals.source_frames(n_frames, fps)
    wanted_s = np.arange(len(frames)) / intervals.FEATURE_FPS
    inside = wanted_s <= (n_frames - 1) / fps
    assert (np.abs(frames / fps - wanted_s)[inside] <= 0.5 / fps + 1e-9).all()
    assert (frames[~inside] == n_frames - 1).all() and frames[0] == 0
    # The steps that lie wholly inside a label show frames of the label.
    start, end = intervals.to_feature_axis(intervals.half_open(onset, offset), fps)
    shown = frames[int(np.ceil(start - 1e-9)) : int(np.floor(end + 1e-9))]
    assert ((shown >= onset) & (shown <= offset)).all()


@pytest.mark.parametrize(("fps", "expected"), [(15, [0, 0, 1, 1, 2, 2, 3, 3]), (60, [0, 2, 4, 6, 8, 10, 12, 14])])
def test_frames_are_repeated_or_left_out_evenly(fps, expected):
    assert intervals.source_frames(100, fps)[:8].tolist() == expected


def test_a_label_at_200_fps_lands_on_its_steps():
    steps = intervals.to_feature_axis(intervals.half_open(400, 599), 200)  # the third second
    np.testing.assert_allclose(steps, [60, 90])
    shown = intervals.source_frames(2000, 200)[60:90]
    assert shown[0] == 400 and shown[-1] == 593 and len(set(shown)) == 30


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("n_frames", [1, 2, 7, 601])
def test_the_last_step_ends_within_half_a_step_of_the_video(n_frames, fps):
    """Decoding clips to the video; what it cuts off is a rounding."""
    end = intervals.to_source_axis(np.array([0.0, intervals.n_steps(n_frames, fps)]), fps)[1]
    short = n_frames * intervals.FEATURE_FPS / fps < 0.5  # a video has one step at least
    assert short or abs(end - n_frames) / fps <= 0.5 / intervals.FEATURE_FPS + 1e-9


def test_a_real_video_of_15_fps(shared_data):
    info = source.probe(shared_data / "real_videos/default.wmv")
    frames = intervals.source_frames(info.n_frames, info.fps)
    assert len(frames) == 576 and np.bincount(frames).tolist() == [2] * 288
    smile = intervals.half_open(200, 250)
    steps = intervals.to_feature_axis(smile, info.fps)
    assert steps.tolist() == [400, 502] and set(frames[400:502]) == set(range(200, 251))
    assert [int(edge) for edge in intervals.inclusive(intervals.to_source_axis(steps, info.fps))] == [200, 250]
