"""Every step of the 30 fps axis has the features of the frame shown then, whatever the camera's rate and habits."""

import numpy as np
import pytest
from own_video.test_stream import track_of

from fedn_pipeline.faces import axis
from fedn_pipeline.own_video import detect, stream

STEP_S = 1 / 30


def stamps(rate, duration_s=20, dropped=0.0, tick_s=1 / 90_000, seed=0):
    """Time stamps of a camera that drops frames: a share of them, or one (None)."""
    random = np.random.default_rng(seed)
    times_s = np.arange(int(rate * duration_s)) / rate
    kept = random.uniform(size=len(times_s)) >= (dropped or 0)
    kept[[0, -1]] = True
    if dropped is None:
        kept[len(kept) // 3] = False
    return np.round(times_s[kept] / tick_s) * tick_s


def frames_of_steps(times_s, fps, known=True):
    """The frame whose vector each step has got, NaN for none; and the axis. As stream.watch does, without pictures."""
    pictures = [(frame, 7.0 + time_s) for frame, time_s in enumerate(times_s)]
    embedded = [frame for frame, needed in stream.marked(pictures, fps if known else None) if needed]
    line = axis.of_video(len(times_s), fps, times_s)
    track = track_of(range(len(times_s)), [np.zeros(4)] * len(times_s))
    watched = stream.Watched(_Info(len(times_s)), line, None, {id(track): (embedded, np.array(embedded)[:, None])})
    raw, _ = detect.features_of(watched, [track], [], 1, lambda raw, has_face: (raw, has_face))
    return raw[:, 0], line, embedded


class _Info:
    def __init__(self, n_frames):
        self.n_frames = n_frames


@pytest.mark.parametrize("tick_s", [1 / 90_000, 1 / 1000], ids=["90 kHz", "ms"])
@pytest.mark.parametrize("dropped", [0.0, None, 0.02], ids=["none dropped", "one", "2 %"])
@pytest.mark.parametrize("rate", [15, 24, 25, 29.97, 30, 48, 50, 59.94, 60, 90, 120])
def test_each_step_has_the_vector_of_its_time(rate, dropped, tick_s):
    times_s = stamps(rate, dropped=dropped, tick_s=tick_s)
    mean = (len(times_s) - 1) / times_s[-1]
    for fps in (rate, mean):  # the header's rate may be the camera's or the mean
        shown, line, embedded = frames_of_steps(times_s, fps)
        assert np.isfinite(shown).all()
        starts_s = np.arange(len(shown)) / 30
        off_s = np.abs(line.edges_s[shown.astype(int)] - starts_s)
        assert off_s.max() <= STEP_S / 2 + np.diff(times_s).max() + 1e-3
        assert len(embedded) <= 2 * len(shown) + 2  # two rules choose: at most a frame each


def test_a_constant_rate_embeds_what_the_stages_embed():
    for rate in (24, 29.97, 30, 50, 60, 120):
        shown, line, _ = frames_of_steps(stamps(rate), rate)
        assert not line.variable
        np.testing.assert_array_equal(shown, line.source_frames())


def test_while_the_rate_is_a_guess_all_frames_are_embedded():
    _, _, embedded = frames_of_steps(stamps(60), 60, known=False)
    assert embedded == list(range(1200))


def test_pictures_without_time_stamps_go_by_the_rate():
    needed = [frame for frame, use in stream.marked([(frame, None) for frame in range(120)], 60) if use]
    assert needed == [*range(0, 120, 2), 119]


def test_a_variable_rate_shows_what_a_constant_one_does():
    """At 60 a second two frames lie in each step; the stages take the one that begins with it."""
    times_s = np.delete(np.arange(240) / 60, 121)
    assert axis.of_video(239, 60, times_s).source_frames()[:10].tolist() == list(range(0, 20, 2))


def test_the_rate_of_a_variable_axis_is_the_mean():
    """Whatever the header says; so frames / fps is how long the video lasts."""
    times_s = np.concatenate([np.arange(60) / 30, 2 + np.arange(60) / 10])
    line = axis.of_video(120, 29.0, times_s)
    assert line.variable and line.fps == pytest.approx(120 / line.duration_s) == pytest.approx(15, abs=0.2)


def test_times_past_the_end_of_a_variable_axis():
    line = axis.of_stamps(np.array([0, 0.1, 0.3, 0.4]))  # the last frame: to 0.5 s
    assert line.frames(0.3, 0.55) == (2, 3) and line.frames(0.3, 0.61) == (2, 4)
    assert line.frames(0.75, 0.95) == (6, 7)


def test_an_unexpected_frame_takes_the_vector_next_to_it():
    """But none from farther away than a step."""
    embedded = [frame for frame in range(90) if frame != 10 and frame not in range(40, 50)]
    track = track_of(range(90), [np.zeros(4)] * 90)
    watched = stream.Watched(
        _Info(90), axis.of_video(90, 30), None, {id(track): (embedded, np.array(embedded)[:, None])}
    )
    raw, _ = detect.features_of(watched, [track], [], 1, lambda raw, has_face: (raw, has_face))
    assert raw[10, 0] == 9 and raw[40, 0] == 39 and raw[49, 0] == 50 and np.isnan(raw[41:49]).all()


def test_a_clock_that_jumps_does_not_make_a_video_of_days():
    times_s = np.arange(300) / 30 + np.where(np.arange(300) >= 100, 5e8, 0)
    rate = 299 / times_s[-1]
    line = axis.of_video(300, rate, times_s)
    assert not line.variable and line.fps == pytest.approx(30) and len(line.source_frames()) == 300
    (warning,) = line.warnings
    assert "jump after 1 of the frames (the first: by 500000000 s, after frame 99)" in warning
    shown, _, _ = frames_of_steps(times_s, rate)
    assert np.isfinite(shown).all()
    assert axis.of_video(300, 30, np.arange(300) / 30).warnings == []


def test_frames_that_are_missing_lie_between_the_others():
    whole = np.concatenate([np.arange(30) / 30, 1 + np.arange(15) / 10])
    missing = np.zeros(45, dtype=bool)
    missing[[10, 35]] = True
    filled = axis.with_missing(whole[~missing], missing)
    np.testing.assert_allclose(filled, whole, atol=1e-9)
    missing[[0, 44]] = True
    filled = axis.with_missing(whole[~missing] - whole[1], missing)
    np.testing.assert_allclose(filled[:44], whole[:44], atol=1e-9)
    assert filled[0] == 0 and filled[44] > filled[43]
    assert axis.with_missing(whole, missing) is None and axis.with_missing(None, missing) is None
