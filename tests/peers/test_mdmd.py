"""MDMD on planted motion: what comes and goes is an expression, what goes on is none."""

import numpy as np
import pandas as pd
import planted_motion as planted
import pytest

from fedn_pipeline import config
from fedn_pipeline.detection.threshold import choose_threshold
from fedn_pipeline.features import cache
from fedn_pipeline.files import read_json
from fedn_pipeline.peers import fold, mdmd
from fedn_pipeline.peers.task import Inputs

SETTINGS = config.validate({"folds": {"method": "mdmd"}})
GAP = 16


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    path = tmp_path_factory.mktemp("mdmd") / "gap16.h5"
    return planted.write(path, dict.fromkeys(planted.VIDEOS, planted.expressions()), GAP, noise=0.02)


def spotter(path, videos, events):
    return mdmd.fit(planted.task("mdmd", SETTINGS, videos, events), Inputs(motion={GAP: path}))


def test_a_patch_that_moves_out_and_back_is_highest_at_its_apex(flow):
    curve = mdmd.curve(cache.read(flow, "v0"), GAP, SETTINGS["mdmd"])
    assert curve.shape == (planted.STEPS,) and (curve >= 0).all()
    apexes = np.array(planted.ONSETS) + planted.LENGTH / 2
    tops = [onset + curve[onset : onset + planted.LENGTH].argmax() for onset in planted.ONSETS]
    assert np.abs(tops - apexes).max() <= 1
    # The patch's way of 2 px in u and 1 in v, in 4 of the 12 blocks that count.
    assert curve[tops] == pytest.approx([2 * np.hypot(1, 0.5) * 4 / 12] * 4, rel=0.1)
    outside = np.ones(planted.STEPS, dtype=bool)
    for onset in planted.ONSETS:
        outside[onset : onset + planted.LENGTH] = False
    assert curve[outside].max() < curve[tops].min() / 2


def test_intervals_reach_half_the_training_length_to_both_sides_and_find_all(flow):
    videos, events = planted.tables()
    found = spotter(flow, videos, events)
    spans, confidence, own = found.spot("v0")
    best = np.argsort(-confidence)[: len(planted.ONSETS)]
    assert spans[np.sort(best)].tolist() == pytest.approx(
        np.array([[o, o + planted.LENGTH] for o in planted.ONSETS]), abs=1.5
    )
    assert ((confidence >= 0) & (confidence <= 1)).all() and own.max() == 1
    table = fold.detections(found, videos, SETTINGS["detections"])
    assert choose_threshold(table, events, videos)["spotting_f1"] >= 0.9


def test_k_comes_from_the_training_subjects_alone(flow):
    """v2 is the test subject's: its labels move nothing, those of v1 do."""
    alike = spotter(flow, *planted.tables()).spot("v2")[0]
    assert np.array_equal(spotter(flow, *planted.tables((32, 32, 90))).spot("v2")[0], alike)
    assert not np.array_equal(spotter(flow, *planted.tables((32, 64, 32))).spot("v2")[0], alike)


def test_each_type_has_its_own_k_and_both_are_joined(flow, tmp_path):
    """Macro-expressions 32 steps long and micro-expressions of 8, which alone are found with micro as ground truth."""
    short = planted.write(tmp_path / "gap4.h5", dict.fromkeys(planted.VIDEOS, planted.expressions()), 4, noise=0.02)
    videos, macro = planted.tables()
    micro = planted.tables((8,) * 3, "micro")[1]
    both_types = planted.task("mdmd", SETTINGS, videos, pd.concat([macro, micro]))
    both = mdmd.fit(both_types, Inputs(motion={4: short, GAP: flow}))
    alone = mdmd.fit(planted.task("mdmd", SETTINGS, videos, micro, macro), Inputs(motion={4: short}))
    one_type = spotter(flow, videos, macro)
    long, brief = one_type.spot("v0"), alone.spot("v0")
    spans, confidence, own = both.spot("v0")
    assert np.array_equal(spans, np.concatenate([long[0], brief[0]]))
    assert np.array_equal(own, np.concatenate([long[2], brief[2]]))
    inner = slice(1, -1)  # the first and the last may end with the video
    assert set(np.diff(long[0][inner])[:, 0]) == {33} and set(np.diff(brief[0][inner])[:, 0]) == {9}
    assert [found.words.split("k ")[1].split(" steps")[0] for found in (both, alone)] == ["16 and 4", "4"]

    # The threshold that is best for a type on the held-out subject stands at 0.5 of its scale; the order stays.
    wanted, theirs = [], videos[videos.video_id == "v2"]
    for found, events in ((one_type, macro), (alone, micro)):
        table = fold.detections(found, theirs, SETTINGS["detections"])
        best = choose_threshold(table, events, theirs)["threshold"]
        before = found.spot("v0")[1]
        wanted.append(before * (1 - best) / (before * (1 - best) + best * (1 - before)))
        assert np.array_equal(wanted[-1] > 0.5, before > best)
    assert confidence == pytest.approx(np.concatenate(wanted))


def test_a_steady_translation_is_no_expression(tmp_path):
    """The flow over 2k is longer than the one over k: nothing rises, at the video's ends neither."""
    everywhere = np.ones((planted.SIDE, planted.SIDE))
    moved = dict.fromkeys(planted.VIDEOS, 0.1 * np.arange(planted.STEPS))
    path = planted.write(tmp_path / "gap16.h5", moved, GAP, where=everywhere)
    entry = cache.read(path, "v0")
    before = entry.features[:1, :2].astype(np.float32)
    assert mdmd.difference(before, before, SETTINGS["mdmd"])[0] == pytest.approx(-1.6 * np.hypot(1, 0.5), rel=0.01)
    assert mdmd.curve(entry, GAP, SETTINGS["mdmd"]).max() < 1e-3
    found = spotter(path, *planted.tables())
    assert not len(fold.detections(found, planted.tables()[0], SETTINGS["detections"]).query("confidence > 0.5"))


def test_ends_of_a_video_and_of_a_face_are_no_peaks(tmp_path):
    """On noise alone the curve is as low there, where only one side is measured, as anywhere."""
    still = dict.fromkeys(planted.VIDEOS, np.zeros(planted.STEPS))
    entry = cache.read(planted.write(tmp_path / "gap16.h5", still, GAP, noise=0.3), "v0")
    gone = slice(planted.STEPS // 2, planted.STEPS // 2 + 10)
    entry.valid[gone] = False
    found = mdmd.curve(entry, GAP, SETTINGS["mdmd"])
    measured = np.zeros(len(found), dtype=bool)
    measured[GAP:] = entry.valid[:-GAP] & entry.valid[GAP:]
    places = np.flatnonzero(measured)
    edge = np.abs(places[:, None] - np.flatnonzero(~measured)).min(axis=1) < GAP - 1
    assert not found[~measured].any() and 10 < edge.sum() < len(edge) - 10
    assert found[places[edge]].mean() < 3 * found[places[~edge]].mean()


def test_a_type_that_only_a_left_out_video_shows_leaves_the_other(flow, tmp_path):
    """The workflow, which cannot know, has offered a k for each."""
    short = planted.write(tmp_path / "gap4.h5", dict.fromkeys(planted.VIDEOS, planted.expressions()), 4)
    offered = mdmd.fit(planted.task("mdmd", SETTINGS, *planted.tables()), Inputs(motion={4: short, GAP: flow}))
    alone = spotter(flow, *planted.tables())
    assert all(np.array_equal(*pair) for pair in zip(offered.spot("v0"), alone.spot("v0"), strict=True))


def test_a_fold_whose_training_videos_show_nothing_is_a_failed_row(flow, tmp_path):
    """As where the only expressions lie in a video left out, of which the workflow does not know."""
    videos, events = planted.tables()
    only_tested = events[events.video_id == "v0"]
    fold.run(videos, only_tested, events[:0], Inputs(motion={GAP: flow}), "p0", tmp_path, SETTINGS, 0)
    assert "no expression" in read_json(tmp_path / "threshold.json")["failed"]
    assert pd.read_csv(tmp_path / "detections.csv").empty and read_json(tmp_path / "fold.json")["test_videos"] == ["v0"]


def test_a_video_shorter_than_two_gaps_has_no_peak_above_the_floor(tmp_path):
    moved = dict.fromkeys(planted.VIDEOS, planted.expressions()[:30])
    path = planted.write(tmp_path / "gap16.h5", moved, GAP)
    assert mdmd.curve(cache.read(path, "v0"), GAP, SETTINGS["mdmd"]).tolist() == [0] * 30
    videos, events = planted.tables()
    found = spotter(path, videos.assign(n_frames=30), events)
    assert not len(fold.detections(found, videos.assign(n_frames=30), SETTINGS["detections"]))


def test_without_a_network_a_fold_costs_time_alone(flow, tmp_path):
    videos, events = planted.tables()
    fold.run(videos, events, events[:0], Inputs(motion={GAP: flow}), "p0", tmp_path, SETTINGS, seed=0)
    measured = read_json(tmp_path / "cost.json")
    assert measured["parameters"] == measured["gflop_per_minute"] == 0 and measured["seconds"] > 0
    assert measured["frames"] == planted.STEPS and measured["inputs"] == [f"{flow.parent.name}/gap16"]
