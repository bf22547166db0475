"""The streaming pass gives what the stages faces and features give, without writing crops in between."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedn_pipeline import intervals
from fedn_pipeline.faces import axis, following, gaps
from fedn_pipeline.own_video import people, stream


@given(fps=st.floats(5, 240), n_frames=st.integers(1, 400))
def test_needed_frames_are_those_of_the_feature_axis(fps, n_frames):
    shown = {frame for frame in range(n_frames) if stream.is_needed(frame, fps)}
    wanted = set(intervals.source_frames(n_frames, fps).tolist())
    assert wanted - {n_frames - 1} <= shown  # the last one may stand in for steps beyond the end


def track_of(frames, similarities):
    faces = [following.Face(None, similarity, np.zeros(2), 1.0, None) for similarity in similarities]
    return following.Track(frames=list(frames), faces=faces)


@given(seed=st.integers(0, 10**6), smoothing=st.sampled_from([0, 0.5, 1.5, 4.0]))
def test_a_streamed_similarity_is_that_of_the_whole_video(seed, smoothing):
    generator = np.random.default_rng(seed)
    n_frames, max_gap = 60, 5
    found = np.ones(n_frames, dtype=bool)
    start = int(generator.integers(2, 50))
    found[start : start + int(generator.integers(0, max_gap))] = False
    values = np.where(found[:, None], np.cumsum(generator.normal(size=(n_frames, 4)), axis=0), np.nan)
    whole = gaps.smooth(gaps.bridge(values, found, max_gap)[0], smoothing)
    track = track_of(np.flatnonzero(found), values[found])
    radius = int(stream.TRUNCATE * smoothing + 0.5)
    streamed = [stream.smoothed(track, frame, radius, smoothing) for frame in range(n_frames)]
    np.testing.assert_allclose(streamed, whole, atol=1e-9)


def test_a_constant_rate_has_the_axis_of_the_stages():
    constant = axis.of_video(900, 29.97, np.arange(900) / 29.97 + np.tile([0, 0.001], 450))
    assert not constant.variable
    np.testing.assert_array_equal(constant.source_frames(), intervals.source_frames(900, 29.97))
    spans = np.array([[3.0, 77.5]])
    np.testing.assert_array_equal(constant.from_steps(spans), intervals.to_source_axis(spans, 29.97))


def test_a_variable_rate_goes_by_the_time_stamps():
    """Ten seconds at 30 frames a second, then ten at 10: an expression in the slow half keeps its seconds."""
    times_s = np.concatenate([np.arange(300) / 30, 10 + np.arange(100) / 10])
    variable = axis.of_video(400, 20.0, times_s)
    assert variable.variable and variable.duration_s == pytest.approx(20, abs=0.1)
    frames = variable.from_steps(np.array([[12 * 30.0, 15 * 30.0]]))
    np.testing.assert_allclose(frames, [[320, 350]], atol=0.5)
    assert variable.seconds(320, 349) == (pytest.approx(12), pytest.approx(15))
    shown = variable.source_frames()
    assert shown[13 * 30] == 330 and len(shown) == round(variable.duration_s * 30)


def person(x, width, n=10):
    faces = [following.Face(None, np.zeros(4), np.array([x, 50.0]), width, None) for _ in range(n)]
    return [following.Track(frames=list(range(n)), faces=faces)]


def test_the_person_is_chosen_by_place_or_number():
    everybody = [person(300, 90), person(100, 60), person(500, 50)]
    assert people.choose(everybody, "largest", "v") is everybody[0]
    assert people.choose(everybody, "left", "v") is everybody[1]
    assert people.choose(everybody, "right", "v") is everybody[2]
    assert people.choose(everybody, "2", "v") is everybody[1]
    assert people.choose([], "left", "v") is None
    with pytest.raises(people.InputError, match="v: --person 4, but only 3 people"):
        people.choose(everybody, "4", "v")
    for wrong in ("0", "-1", "middle", ""):
        with pytest.raises(people.InputError, match="give largest, left, right, or a number"):
            people.check(wrong)


def test_a_face_that_passes_by_is_nobody():
    everybody = [person(300, 90, 100), person(100, 60, 100), person(500, 20, 3)]
    assert people.notable(everybody) == everybody[:2]
