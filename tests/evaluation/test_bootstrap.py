"""The weighted shortcut against literal resampling: subjects' videos copied under new names, then `evaluate`."""

import logging
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scores import paired_difference, summarise

from fedn_pipeline.evaluation.bootstrap import draw_weights
from fedn_pipeline.evaluation.metrics import COUNTS, METRICS, default_settings, evaluate
from fedn_pipeline.files import InputError

SETTINGS = default_settings() | {"bootstrap_draws": 25, "bootstrap_seed": 3}
SUBJECTS = ["01", "02", "03", "04"]
VIDEOS = pd.DataFrame({"video_id": ["a", "b", "c", "d", "e"], "subject": ["03", "01", "02", "03", "04"]})


def random_table(seed, n, videos="abcde"):
    random = np.random.default_rng(seed)
    onset = random.integers(0, 150, n)
    columns = {
        "video_id": random.choice(list(videos), n),
        "onset": onset,
        "offset": onset + random.integers(5, 25, n),
        "emotion": random.choice(["anger", "happiness", "surprise"], n),
    }
    return pd.DataFrame(columns)


# subject 04 has no ground truth, and few others have surprise: some draws lack an emotion
EVENTS = random_table(0, 14, "abcd")


def run(seed):
    """Noise and shifted ground truth, all confidences different."""
    random = np.random.default_rng(seed)
    near = EVENTS.assign(onset=EVENTS["onset"] + random.integers(0, 4, len(EVENTS)))
    table = pd.concat([random_table(seed + 1000, 40), near], ignore_index=True)
    return table.assign(confidence=random.random(len(table)), kept=random.random(len(table)) < 0.5)


def resampled(table, weights):
    """The rows of each subject's videos as often as it was drawn, each copy in videos of its own."""
    subject = table["video_id"].map(VIDEOS.set_index("video_id")["subject"])
    copies = []
    for name, times in zip(SUBJECTS, weights, strict=True):
        for copy in range(times):
            rows = table[subject == name].copy()
            rows["video_id"] += f"_{copy}"
            copies.append(rows)
    return pd.concat(copies, ignore_index=True)


@cache
def literal_scores(*seeds):
    """Metric -> `[1 + n_draws]`, its mean over runs, evaluated on tables that really are resampled."""
    runs, scores = [run(seed) for seed in seeds], []
    for weights in draw_weights(len(SUBJECTS), SETTINGS):
        videos, events = resampled(VIDEOS, weights), resampled(EVENTS, weights)
        tables = [resampled(table, weights) for table in runs]
        scores.append(pd.DataFrame([evaluate(videos, events, table, settings=SETTINGS) for table in tables]))
    return pd.DataFrame([table.astype(float).mean() for table in scores])


def with_interval(scores):
    return [scores.iloc[0], *np.nanpercentile(scores.iloc[1:], [2.5, 97.5])]


@pytest.mark.parametrize("name", [*COUNTS, *METRICS])
def test_summary_equals_literal_resampling(name):
    found = summarise(VIDEOS, EVENTS, [run(1), run(2)], SETTINGS)[name]
    assert found == pytest.approx(with_interval(literal_scores(1, 2)[name]), abs=1e-12)


@pytest.mark.parametrize("name", [*COUNTS, *METRICS])
def test_difference_equals_literal_resampling(name):
    found = paired_difference(VIDEOS, EVENTS, [run(1), run(2)], [run(3)], SETTINGS)[name]
    assert found == pytest.approx(with_interval(literal_scores(1, 2)[name] - literal_scores(3)[name]), abs=1e-12)


def test_value_is_the_plain_evaluation():
    scores, summary = evaluate(VIDEOS, EVENTS, run(1)), summarise(VIDEOS, EVENTS, [run(1)], SETTINGS)
    assert {name: interval.value for name, interval in summary.items()} == pytest.approx(scores)
    assert all(value.low <= value.high for value in summary.values())


def test_same_seed_same_interval():
    assert summarise(VIDEOS, EVENTS, [run(1)], SETTINGS) == summarise(VIDEOS, EVENTS, [run(1)], SETTINGS)
    other = summarise(VIDEOS, EVENTS, [run(1)], SETTINGS | {"bootstrap_seed": 4})
    assert other["spotting_f1"] != summarise(VIDEOS, EVENTS, [run(1)], SETTINGS)["spotting_f1"]


def test_order_of_videos_and_rows_does_not_matter():
    shuffled = [table.sample(frac=1, random_state=0) for table in (VIDEOS, EVENTS, run(1))]
    expected = summarise(VIDEOS, EVENTS, [run(1)], SETTINGS)
    for name, interval in summarise(*shuffled[:2], shuffled[2:], SETTINGS).items():
        assert interval == pytest.approx(expected[name])


def test_a_method_equals_itself():
    for name, interval in paired_difference(VIDEOS, EVENTS, [run(1)], [run(1)], SETTINGS).items():
        assert interval == (0, 0, 0), name


def test_draws_have_as_many_subjects_as_the_sample():
    weights = draw_weights(7, default_settings())
    assert weights.shape == (1001, 7) and (weights[0] == 1).all() and (weights.sum(axis=1) == 7).all()
    np.testing.assert_allclose(weights[1:].mean(axis=0), 1, atol=0.15)


def test_weights_count_the_draws():
    settings = default_settings()
    size = (settings["bootstrap_draws"], 9)
    drawn = np.random.default_rng(settings["bootstrap_seed"]).integers(0, 9, size=size)
    counted = np.stack([(drawn == subject).sum(axis=1) for subject in range(9)], axis=1)
    np.testing.assert_array_equal(draw_weights(9, settings)[1:], counted)


def test_a_single_subject_has_no_interval():
    summary = summarise(VIDEOS.assign(subject="01"), EVENTS, [run(1)], SETTINGS)
    assert summary["spotting_f1"].value > 0
    assert all(interval[1:] == (None, None) for interval in summary.values())


def test_undefined_is_none():
    summary = summarise(VIDEOS, EVENTS, [run(1).assign(emotion="")], SETTINGS)
    assert summary["detection_map"] == summary["strs"] == (None, None, None)
    difference = paired_difference(VIDEOS, EVENTS, [run(1)], [run(1).assign(emotion="")], SETTINGS)
    assert difference["detection_map"] == (None, None, None)
    assert difference["spotting_map"] == (0, 0, 0)


def test_undefined_draws_are_left_out_and_logged(caplog):
    """Only subject 01 has ground truth: draws without it have no mAP."""
    events = EVENTS[EVENTS["video_id"] == "b"]
    weights = draw_weights(len(SUBJECTS), SETTINGS)
    without = int((weights[1:, 0] == 0).sum())
    with caplog.at_level(logging.WARNING):
        interval = summarise(VIDEOS, events, [run(1)], SETTINGS)["spotting_map"]
    assert 0 < without < 25
    assert f"spotting_map: undefined in {without} of 25 bootstrap draws, left out" in caplog.text
    assert interval.low is not None and interval.low <= interval.high


def test_a_run_in_which_a_metric_is_undefined_does_not_count():
    """The second run finds nothing, so it has no recognition; its spotting F1 of 0 counts all the same."""
    nothing = run(1).assign(kept=False)
    alone, both = (summarise(VIDEOS, EVENTS, runs, SETTINGS) for runs in ([run(1)], [run(1), nothing]))
    assert both["recognition_f1_micro"].value == alone["recognition_f1_micro"].value
    assert both["spotting_f1"].value == pytest.approx(alone["spotting_f1"].value / 2)


def test_no_runs_is_an_error():
    with pytest.raises(InputError, match="at least one detection table"):
        summarise(VIDEOS, EVENTS, [], SETTINGS)
