"""Windows: where they start, which frames they read, which events they hold."""

import numpy as np
import pytest

from fedn_pipeline import config
from fedn_pipeline.training import windows

SETTINGS = config.validate({})["windows"]


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


def annotate(spans, classes, start=0):
    cut = windows.Windows(np.array([0]), np.array([start]))
    return windows.annotate(cut, [(np.array(spans, dtype=float), np.array(classes))], SETTINGS)[0]


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
