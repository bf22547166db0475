import numpy as np

from fedn_pipeline.faces import gaps


def test_bridging_is_exact_linear_interpolation():
    # A linear course is restored exactly.
    course = np.stack([np.arange(12.0), 5 - 2 * np.arange(12.0)], axis=1)
    found = np.ones(12, dtype=bool)
    found[4:7] = False
    values, status = gaps.bridge(np.where(found[:, None], course, -99), found, max_gap=3)
    np.testing.assert_allclose(values, course, atol=1e-12)
    assert status.tolist() == ["tracked"] * 4 + ["bridged"] * 3 + ["tracked"] * 5


def test_long_gaps_and_ends_are_missing():
    found = np.array([0, 1, 0, 0, 0, 0, 1, 0, 1, 0], dtype=bool)
    values, status = gaps.bridge(np.arange(10.0)[:, None], found, max_gap=3)
    assert [word[0] for word in status] == list("mtmmmmtbtm")
    assert np.isnan(values[status == "missing"]).all() and values[7, 0] == 7


def test_what_is_not_bridged():
    found = np.array([0, 1, 0, 0, 0, 0, 1, 0, 1, 0], dtype=bool)
    assert gaps.unbridged(found, max_gap=3) == [(0, 1), (2, 6), (9, 10)]
    assert gaps.unbridged(found, max_gap=4) == [(0, 1), (9, 10)]


def test_no_face_at_all():
    values, status = gaps.bridge(np.zeros((5, 2)), np.zeros(5, dtype=bool), max_gap=10)
    assert np.isnan(values).all() and (status == "missing").all()


def test_smoothing_keeps_lines_inside_and_never_crosses_a_gap():
    similarities = np.zeros((40, 4))
    similarities[:20] = np.arange(20)[:, None]
    similarities[20:22] = np.nan
    similarities[22:] = 1000
    smoothed = gaps.smooth(similarities, width=1.5)
    np.testing.assert_allclose(smoothed[7:13], similarities[7:13], atol=1e-3)
    assert np.isnan(smoothed[20:22]).all() and (smoothed[22:] == 1000).all() and smoothed[:20].max() < 20
    assert np.array_equal(gaps.smooth(similarities, 0), similarities, equal_nan=True)
