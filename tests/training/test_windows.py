"""Windows: where they start, which frames they read, which events they hold."""

from pathlib import Path

import numpy as np
import pytest

from fedn_pipeline import config
from fedn_pipeline.training import windows

SETTINGS = config.validate({})["windows"]
REPOSITORY = Path(__file__).resolve().parents[2]
RATES = config.validate({"windows": {"rates": [4, 1, 2]}})["windows"]


@pytest.mark.parametrize(
    "n_steps, stride, wanted",
    [(128, 32, [0]), (60, 32, [0]), (192, 32, [0, 32, 64]), (200, 32, [0, 32, 64, 72]), (129, 16, [0, 1])],
)
def test_starts(n_steps, stride, wanted):
    assert windows.starts(n_steps, 128, stride).tolist() == wanted


def test_frames_beyond_the_end_repeat_the_last():
    n_steps = [140, 100]
    cut = windows.cut(n_steps, SETTINGS, 32)
    index = windows.gather_index(cut, n_steps, SETTINGS)
    assert cut.start.tolist() == [0, 12, 0] and index.shape == (3, 134)
    assert index[1, 0] == 12 and index[1, 127] == 139 and (index[1, 128:] == 139).all()
    assert index[2, 0] == 140 and index[2, 99] == 239 and (index[2, 100:] == 239).all()


def annotate(spans, classes, start=0, rate=1, settings=SETTINGS):
    cut = windows.Windows(np.array([0]), np.array([start]), np.array([rate]))
    return windows.annotate(cut, [(np.array(spans, dtype=float), np.array(classes))], settings)[0]


def test_event_with_more_than_90_percent_inside_is_clipped():
    found = annotate([(100, 130), (100, 132)], [0, 1])  # 28/30 = 93 % and 28/32 = 87.5 % inside
    assert found.targets.tolist() == [[100, 128]] and found.classes.tolist() == [0]
    assert found.ignored.tolist() == [[100, 132]]


def test_other_event_types_are_ignored_not_targets():
    found = annotate([(10, 40), (50, 60)], [2, -1])
    assert found.classes.tolist() == [2] and found.ignored.tolist() == [[50, 60]]


def test_background_windows_touch_no_event_and_are_limited():
    cut = windows.cut([128 * 40], SETTINGS, 128)
    events = [(np.array([[10.0, 50.0], [120.0, 300.0]]), np.array([0, 1]))]
    annotations = windows.annotate(cut, events, SETTINGS)
    chosen = windows.choose_training(annotations, SETTINGS, np.random.default_rng(0))
    assert chosen[0] == 0 and len(chosen) == 1 + 3
    # Windows 1 and 2 hold a cut event only: neither positive nor background.
    assert not {1, 2} & set(chosen.tolist())
    again = windows.choose_training(annotations, SETTINGS, np.random.default_rng(0))
    assert chosen.tolist() == again.tolist()


def test_windows_of_all_rates():
    """At rate r a window spans r times as long; a video that a finer rate shows whole needs no coarser one."""
    cut = windows.cut([520, 200, 100], RATES, 32)
    by_rate = {
        (video, rate): cut.start[(cut.video == video) & (cut.rate == rate)].tolist()
        for video, rate in zip(cut.video.tolist(), cut.rate.tolist(), strict=True)
    }
    assert list(by_rate) == [(0, 1), (0, 2), (0, 4), (1, 1), (1, 2), (2, 1)]
    assert by_rate[0, 1][-2:] == [384, 392] and by_rate[0, 2] == [0, 64, 128, 192, 256, 264]
    assert by_rate[0, 4] == [0, 8]  # 130 steps
    assert by_rate[1, 2] == [0] and by_rate[2, 1] == [0]


def test_rate_1_alone_cuts_as_without_rates():
    cut = windows.cut([520, 100], SETTINGS, 32)
    assert set(cut.rate.tolist()) == {1} and cut.start[cut.video == 0].tolist() == [*range(0, 385, 32), 392]
    assert len(windows.cut([], SETTINGS, 32)) == 0


def test_a_step_is_seen_by_its_middle_frame():
    n_steps = [520, 600]
    cut = windows.cut(n_steps, RATES, 32)
    index = windows.gather_index(cut, n_steps, RATES)
    assert index.shape == (len(cut), 134)
    coarse = np.flatnonzero((cut.video == 1) & (cut.rate == 4))
    assert (index[coarse[0]][:3] - 520).tolist() == [1, 5, 9] and index[coarse[0]][127] - 520 == 127 * 4 + 1
    assert index[coarse[-1]][-1] == 520 + 599  # beyond the end: the last frame
    doubled = np.flatnonzero((cut.video == 0) & (cut.rate == 2))[1]
    assert index[doubled][:3].tolist() == [64, 66, 68]


def test_clips_are_read_by_their_own_stride():
    """Features of clips every 2 frames: a window reads one for each segment; windows start where a clip starts. A clip
    sees 8 frames; at rate 4 a segment has 32, and its clip lies in their middle: 12 frames from either end."""
    n_steps = [400, 300]
    cut = windows.cut(n_steps, RATES, 32)
    index = windows.gather_index(cut, n_steps, RATES, row_stride=2)
    assert index.shape == (len(cut), 64)
    fine = np.flatnonzero((cut.video == 1) & (cut.rate == 1))
    assert index[fine[1]].tolist() == list(range(200 + 16, 200 + 16 + 64))
    coarse = np.flatnonzero((cut.video == 0) & (cut.rate == 4))[0]
    assert index[coarse][:3].tolist() == [6, 10, 14] and index[coarse][-1] == 199


def test_event_is_scaled_to_the_steps_of_its_rate():
    found = annotate([(100, 300)], [1], start=20, rate=4, settings=RATES)
    assert found.targets.tolist() == [[20, 70]] and found.classes.tolist() == [1]
    assert annotate([(100, 300)], [1], start=20).targets.size == 0


def test_events_left_to_another_rate_are_neither_targets_nor_ignored():
    """20 frames are 5 steps at rate 4, 300 frames exceed a window at rate 1; alone, each rate would ignore both.
    They are clipped to what the window shows."""
    spans, classes = [(40, 60), (70, 370)], [0, 1]
    fine, coarse = (annotate(spans, classes, rate=rate, settings=RATES) for rate in (1, 4))
    assert fine.targets.tolist() == [[40, 60]] and fine.too_long.tolist() == [[70, 128]]
    assert coarse.targets.tolist() == [[17.5, 92.5]] and coarse.too_short.tolist() == [[10, 15]]
    assert not len(fine.ignored) + len(fine.too_short) + len(coarse.ignored) + len(coarse.too_long)
    alone = annotate(spans, classes)
    assert alone.ignored.tolist() == [[70, 370]] and not len(alone.too_long)


def test_cut_events_and_other_types_are_ignored_at_every_rate():
    found = annotate([(500, 600), (40, 60)], [0, -1], rate=4, settings=RATES)
    assert found.ignored.tolist() == [[125, 150], [10, 15]] and not len(found.too_short)


def test_background_may_hold_what_another_rate_answers_for():
    annotations = [
        annotate([(40, 60)], [0], rate=4, settings=RATES),  # too short here
        annotate([(40, 60)], [-1], rate=4, settings=RATES),  # ignored
        annotate([(40, 90)], [0], rate=4, settings=RATES),
    ]
    chosen = windows.choose_training(annotations, RATES, np.random.default_rng(0))
    assert chosen.tolist() == [2, 0]


@pytest.mark.parametrize("length", [3, 10, 30, 70, 128, 129, 200, 256, 500, 1000, 2000, 4500])
def test_with_rates_every_duration_is_a_target_somewhere(length):
    """0.1 s to 150 s: at some rate the event lies whole in a training window and is long enough."""
    settings = config.resolve(REPOSITORY / "config", "demo", "multi_rate")["windows"]
    for onset in (0, 333, 1000):
        cut = windows.cut([6000], settings, settings["train_stride"])
        annotations = windows.annotate(
            cut, [(np.array([[onset, onset + length]], dtype=float), np.array([0]))], settings
        )
        found = [a.targets[0, 1] - a.targets[0, 0] for a in annotations if len(a.targets)]
        assert found and max(found) >= min(8, length)
