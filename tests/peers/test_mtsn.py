"""MTSN: two streams of different k, hard and soft labels, and that it finds planted expressions."""

import numpy as np
import pandas as pd
import planted_motion as planted
import pytest
import torch

from fedn_pipeline import config
from fedn_pipeline.detection.threshold import choose_threshold
from fedn_pipeline.files import read_json
from fedn_pipeline.peers import fold, mtsn
from fedn_pipeline.peers.task import Failed, Inputs

SHORT, LONG = 8, 16
PAPER = config.validate({})["mtsn"]
SETTINGS = config.validate({
    "folds": {"method": "mtsn"},
    "mtsn": {"epochs": 20, "least_steps": 0, "learning_rate": 1e-3, "batch_size": 64, "log_every": 20},
})  # fmt: skip


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """Flow over both gaps, and over each one of no motion at all."""
    folder = tmp_path_factory.mktemp("mtsn")
    moved = dict.fromkeys(planted.VIDEOS, planted.expressions())
    still = dict.fromkeys(planted.VIDEOS, np.zeros(planted.STEPS))
    found = {gap: planted.write(folder / f"gap{gap}.h5", moved, gap, noise=0.05) for gap in (SHORT, LONG)}
    return found, {gap: planted.write(folder / f"still{gap}.h5", still, gap) for gap in (SHORT, LONG)}


def inputs(caches):
    return Inputs(motion=dict(caches[0]))


@pytest.fixture(scope="module")
def trained(caches):
    videos, events = planted.tables()
    return mtsn.fit(planted.task("mtsn", SETTINGS, videos, events), inputs(caches))


def test_as_many_parameters_as_published():
    count = sum(value.numel() for value in mtsn.Network(PAPER).parameters())
    assert count == 16 * (25 + 1) + (2 * 16 * 4 * 4 + 1) * 128 + 128 + 1
    assert count == pytest.approx(66_000, rel=0.02)


def test_shapes_of_pictures_features_and_score(caches):
    motion = mtsn.Motion([caches[0][SHORT], caches[0][LONG]], planted.VIDEOS, PAPER["side"])
    pictures = motion.pictures("v0", np.array([3, 50, 51]))
    assert pictures.shape == (3, 2, 3, 28, 28) and pictures.dtype == torch.float16
    network = mtsn.Network(PAPER)
    maps = [network.stream.pool(layer(torch.zeros(3, 1, 28, 28))) for layer in network.stream.of_channel]
    assert [part.shape for part in maps] == [(3, 3, 9, 9), (3, 5, 9, 9), (3, 8, 9, 9)]
    assert network.features(pictures).shape == (3, 2, 16 * 4 * 4)
    score = network(pictures)
    assert score.shape == (3,) and ((score > 0) & (score < 1)).all()


def test_each_stream_sees_its_own_gap_alone(caches):
    """At an onset the patch has moved further over 16 steps than over 8; stopping one stream's flow moves no other's
    features."""
    at = np.array([planted.ONSETS[0]])
    network = mtsn.Network(PAPER)

    def features(short, long):
        pictures = mtsn.Motion([short, long], planted.VIDEOS, PAPER["side"]).pictures("v0", at)
        return pictures, network.features(pictures).detach()

    (moved, still) = caches
    pictures, both = features(moved[SHORT], moved[LONG])
    way = planted.expressions()
    for stream, gap in enumerate((SHORT, LONG)):
        assert pictures[0, stream, 0].max().item() == pytest.approx(way[at[0] + gap], abs=0.3)
    _, without_short = features(still[SHORT], moved[LONG])
    _, without_long = features(moved[SHORT], still[LONG])
    assert torch.equal(both[:, 1], without_short[:, 1]) and not torch.allclose(both[:, 0], without_short[:, 0])
    assert torch.equal(both[:, 0], without_long[:, 0]) and not torch.allclose(both[:, 1], without_long[:, 1])
    _, swapped = features(moved[LONG], moved[SHORT])
    assert torch.allclose(swapped, both.flip(1))  # the same weights for both


def test_the_shorter_gap_is_the_first_stream_whatever_the_order(caches, trained):
    turned = Inputs(motion={gap: caches[0][gap] for gap in (LONG, SHORT)})
    short_run = {**SETTINGS, "mtsn": {**SETTINGS["mtsn"], "epochs": 1}}
    one, other = (
        mtsn.fit(planted.task("mtsn", short_run, *planted.tables()), given) for given in (inputs(caches), turned)
    )
    assert all(torch.equal(one.state[name], other.state[name]) for name in one.state)


def test_hard_label_inside_and_soft_label_by_distance_to_the_apex():
    hard, soft = mtsn.pseudo_labels(np.array([[2.0, 9.0]]), [4.0], 12)
    assert hard.tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    assert soft.tolist() == [0, 0, 0, 0.5, 1, 0.75, 0.5, 0.25, 0, 0, 0, 0]
    _, middle = mtsn.pseudo_labels(np.array([[0.0, 5.0]]), [np.nan], 6)  # no apex annotated
    assert middle.tolist() == [0, 0.5, 1, 0.5, 0, 0]
    assert mtsn.pseudo_labels(np.zeros((0, 2)), [], 3)[0].tolist() == [0, 0, 0]
    _, at_onset = mtsn.pseudo_labels(np.array([[1.0, 4.0]]), [1.0], 5)
    assert at_onset.tolist() == [0, 1, 0.5, 0, 0]


def test_steps_of_others_are_neither_expression_nor_background(caches):
    videos, events = planted.tables()
    macro, micro = events[events.onset == planted.ONSETS[0]], events[events.onset == planted.ONSETS[1]]
    task = planted.task("mtsn", SETTINGS, videos, macro, micro)
    windows, soft = mtsn.labelled(task, mtsn.Motion(caches[0].values(), planted.VIDEOS, PAPER["side"]), ["v0"])
    left_out = sorted(set(range(planted.STEPS - LONG)) - set(windows.start))
    assert left_out == list(range(planted.ONSETS[1], planted.ONSETS[1] + planted.LENGTH))
    first = planted.ONSETS[0]
    assert windows.start[windows.label == 1].tolist() == list(range(first, first + planted.LENGTH))
    assert soft["v0"].argmax() == first + planted.LENGTH // 2


def test_ends_are_where_a_smoothed_run_has_half_its_height():
    score = np.zeros(200)
    score[80:112] = 0.9
    spans, heights = mtsn.spotted(score, [16.0], PAPER)
    assert heights.max() == pytest.approx(0.9)
    assert spans[heights.argmax()].tolist() == pytest.approx([80, 112], abs=1.5)


def test_a_peak_of_the_shorter_type_exceeds_the_longer_one():
    """A run of 8 steps is short; the middle of one of 64 is none of both."""
    for length, found in ((8, [4.0]), (64, [32.0])):
        score = np.zeros(300)
        score[100 : 100 + length] = 1
        spans, heights = mtsn.spotted(score, [32.0, 4.0], PAPER)
        kept = spans[heights > PAPER["own_threshold"]]
        assert [(end - start) / 2 for start, end in kept] == pytest.approx(found, abs=1)
        assert kept.mean() == pytest.approx(100 + length / 2, abs=1)


def test_it_finds_the_expressions_that_it_has_learnt(trained):
    videos, events = planted.tables()
    learnt = videos[videos.video_id != "v2"]
    table = fold.detections(trained, learnt, SETTINGS["detections"])
    assert choose_threshold(table, events, learnt)["spotting_f1"] >= 0.9
    assert trained.log[-1]["loss"] < trained.log[0]["loss"] and trained.log[-1]["held_out_loss"] < 0.1
    assert trained.parameters == 66_209 and "8 and 16 steps" in trained.words
    own = table[table[fold.OWN_SCORE] >= trained.habit["threshold"]]
    assert len(own) >= 6 and (own.confidence == own[fold.OWN_SCORE]).all()


def test_the_same_seed_learns_the_same_and_the_test_subject_teaches_nothing(caches, trained):
    videos, events = planted.tables()
    moved = events.assign(
        onset=events.onset.where(events.video_id != "v2", 1), apex=pd.array([pd.NA] * len(events), "Int64")
    )
    events = pd.concat([events[events.video_id != "v2"], moved[moved.video_id == "v2"]])
    other = mtsn.fit(planted.task("mtsn", SETTINGS, videos, events), inputs(caches))
    assert all(torch.equal(other.state[name], trained.state[name]) for name in trained.state)
    assert np.array_equal(other.spot("v2")[0], trained.spot("v2")[0])


def test_what_cannot_be_learnt_fails_with_its_reason(caches):
    videos, events = planted.tables()
    with pytest.raises(Failed, match=r"two gaps, there are \[8\]"):
        mtsn.fit(planted.task("mtsn", SETTINGS, videos, events), Inputs(motion={SHORT: caches[0][SHORT]}))
    with pytest.raises(Failed, match="of the steps of the training videos none lie in expressions"):
        mtsn.fit(planted.task("mtsn", SETTINGS, videos, events[:0]), inputs(caches))
    wild = {**SETTINGS, "mtsn": {**SETTINGS["mtsn"], "learning_rate": 1e37}}
    with pytest.raises(Failed, match="not converging"):
        mtsn.fit(planted.task("mtsn", wild, videos, events), inputs(caches))


def test_a_failed_fold_is_a_row_with_its_reason(caches, tmp_path):
    videos, events = planted.tables()
    given = Inputs(motion={SHORT: caches[0][SHORT]})
    fold.run(videos, events, events[:0], given, "p0", tmp_path, SETTINGS, seed=0)
    assert read_json(tmp_path / "fold.json")["training"].startswith("failed: two streams")
    assert len(pd.read_csv(tmp_path / "detections.csv")) == 0
    assert read_json(tmp_path / "cost.json")["seconds"] is None
