"""AUW-GCN: size, shapes, the adjacency from the training subjects' labels, loss, intervals, learning, failure."""

import numpy as np
import pandas as pd
import pytest
import torch
from peers import moving_regions as planted

from fedn_pipeline import cost
from fedn_pipeline.files import read_json
from fedn_pipeline.peers import auwgcn, fold, frame_scores, needs, region_steps, task

OWN = planted.settings("auwgcn")["auwgcn"]
SAME = np.full((12, 12), 1 / 12, dtype=np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = tmp_path_factory.mktemp("regions") / "gap1.h5"
    planted.write(made)
    return made


def adjacency(path, events, train, others=None):
    """That of a fold, after one step of training."""
    made, inputs = planted.job(path, "auwgcn", train, events=events, others=others, epochs=1)
    return auwgcn.fit(made, inputs).state["graph.0.adjacency"].numpy()


def test_size_at_the_papers_settings():
    for n_kinds in (2, 1):
        network = auwgcn.Network([SAME], n_kinds * frame_scores.OUTPUTS, OWN)
        assert sum(value.numel() for value in network.parameters()) == pytest.approx(39_000, rel=0.02)
    assert (OWN["window"], OWN["learning_rate"], OWN["batch_size"], OWN["epochs"]) == (256, 0.01, 128, 100)


def test_shapes():
    network = auwgcn.Network([SAME], 10, OWN).eval()
    shapes = []
    for layer in (network.graph, network.blocks):
        layer.register_forward_hook(lambda _, given, found: shapes.append((given[0].shape, found.shape)))
    flow = planted.random_flow(3, 270)
    assert network(flow).shape == (3, 10, 270)
    assert shapes == [((810, 12, 2), (810, 12, 16)), ((3, 192, 270), (3, 64, 270))]


def test_what_a_window_answers_for_does_not_depend_on_where_it_is_cut():
    network = auwgcn.Network([SAME], 10, OWN).eval()
    flow, margin = planted.random_flow(1, 300), OWN["margin"]
    with torch.no_grad():
        part, whole = network(flow[:, 20:150])[..., margin:-margin], network(flow)
    assert part == pytest.approx(whole[..., 20 + margin : 150 - margin], abs=1e-4)


def test_a_region_reads_those_that_its_row_of_the_adjacency_names():
    only = np.eye(12, dtype=np.float32)[[1, 0, *range(2, 12)]]  # the first two change places
    layer = auwgcn.GraphConvolution(2, 16, only).eval()
    flow = planted.random_flow(5)
    moved = flow.clone()
    moved[:, 1] += 1
    changed = (layer(flow) - layer(moved)).abs().sum(dim=(0, 2)) > 0
    assert changed.tolist() == [True] + [False] * 11


def test_adjacency_comes_from_the_labels(path):
    _, events = planted.tables()
    train = planted.IDS[:3]
    both = adjacency(path, events, train)
    assert both.shape == (12, 12) and both.sum(axis=1) == pytest.approx(np.ones(12))
    assert both[:6, :6] == pytest.approx(1 / 6) and both[8:, 8:] == pytest.approx(1 / 4)  # what moves together
    assert not both[:6, 6:].any() and (both[6:8] == np.eye(12)[6:8]).all()  # the nose never moves: it keeps itself
    is_brow = events.groupby("video_id").cumcount() % 2 == 0
    brows = adjacency(path, events[is_brow], train, others=events[~is_brow])
    assert (brows[:6] == both[:6]).all() and (brows[6:] == np.eye(12)[6:]).all()
    wide = events.assign(onset=events.onset.where(is_brow, 0), offset=events.offset.where(is_brow, planted.STEPS - 1))
    assert adjacency(path, wide, train)[:6, 8:].any()  # an expression in which brows and mouth move


def test_adjacency_and_scaling_come_from_the_training_subjects_alone(path):
    _, events = planted.tables()
    train = planted.IDS[:2]
    elsewhere = events[events.video_id.isin(train)].copy()
    for video in planted.IDS[2:]:
        row = {"video_id": video, "onset": 0, "apex": 10, "offset": planted.STEPS - 1, "expression_type": "macro"}
        elsewhere = pd.concat([elsewhere, pd.DataFrame([row])]).astype({"apex": "Int64"})
    assert (adjacency(path, events, train) == adjacency(path, elsewhere, train)).all()
    few, all_of_them = (region_steps.read(path, planted.IDS, ids, OWN["least"]) for ids in (train, planted.IDS))
    assert (few.mean != all_of_them.mean).all()
    assert few.scaled("v0")[few.valid["v0"]].std() == pytest.approx(1, abs=0.1) and not few.scaled("v0")[-1].any()


def test_labels_of_steps():
    table = pd.DataFrame({"first": [10], "apex": [14], "last": [20]})
    boundary, apex, inside = region_steps.labels(table, 24, 1, 4.0)
    near = {9: 0, 10: 0, 11: 0, 19: 1, 20: 1, 21: 1}
    assert boundary.tolist() == [near.get(step, 2) for step in range(24)]
    assert apex[13:16] == pytest.approx([0.9692, 1, 0.9692], abs=1e-4) and np.count_nonzero(apex) == 3
    assert np.flatnonzero(inside).tolist() == list(range(10, 21))


def test_expressions_on_the_30_fps_axis():
    videos, events = planted.tables()
    half = events.iloc[:2].assign(onset=[30, 50], apex=[36, pd.NA], offset=[44, 60], expression_type=["micro", ""])
    found = region_steps.expressions(half.astype({"apex": "Int64"}), videos.assign(fps=60.0))
    assert found[["kind", "first", "apex", "last"]].to_numpy().tolist() == [
        ["micro", 15, 18, 21], ["macro", 25, 27, 29],
    ]  # fmt: skip


def test_neither_others_nor_steps_without_a_face_count(path):
    videos, events = planted.tables()
    table = region_steps.expressions(events, videos)
    mine, other = table.iloc[[0]], table.iloc[[1]]
    regions = region_steps.read(path, planted.IDS, planted.IDS, OWN["least"])
    steps = region_steps.build(regions, ["v0"], mine, other, ["macro"], OWN)
    rows = steps.rows(torch.tensor([0]))[:, OWN["margin"] : -OWN["margin"]]
    logits = torch.zeros(1, 5, OWN["window"], requires_grad=True)
    frame_scores.loss(logits, steps, rows, ["macro"], OWN).backward()
    counted = logits.grad[0].abs().sum(dim=0) > 0
    assert not counted[130:170].any() and counted[:130].all() and counted[170:].all()
    assert len(steps.start) == 2 and not steps.counted[-OWN["margin"] - 1 :].any()  # windows that show the expression


def test_loss_of_a_right_score_is_lower():
    wanted, right, wrong = torch.tensor([0.0, 1.0]), torch.tensor([-4.0, 4.0]), torch.tensor([4.0, -4.0])
    low, high = (frame_scores.binary(logit, wanted, 0.9, 1.0, 0.16) for logit in (right, wrong))
    assert (low < high).all() and high[1] > high[0]  # what is missed weighs more
    p = torch.sigmoid(torch.tensor(4.0))
    assert float(high[0]) == pytest.approx(float(-0.1 * (p - 0.16) * torch.log(1 - p)), rel=1e-4)
    logits = torch.tensor([[4.0, 0, 0], [0, 4.0, 0]])
    assert (frame_scores.boundary(logits, torch.tensor([0, 1]), 0.9, 1.0) < 0.01).all()
    assert (frame_scores.boundary(logits, torch.tensor([1, 2]), 0.9, 1.0) > 0.2).all()


def test_from_scores_to_intervals():
    onset, offset, apex = (np.full(100, 0.1) for _ in range(3))
    onset[[20, 60]], offset[[44, 95]], apex[[28, 70]] = 0.8, 0.9, (0.7, 0.4)
    spans, score, height = frame_scores.intervals_of(onset, offset, apex, 12, 40, OWN)
    assert spans.tolist() == [[20, 45]] and score == pytest.approx([0.8 * 0.9 * 0.7]) and height == [0.7]  # one apex
    apex[70] = 0.6
    assert len(frame_scores.intervals_of(onset, offset, apex, 12, 40, OWN)[0]) == 1  # its offset is too far away
    assert len(frame_scores.intervals_of(onset, offset, apex, 12, 60, OWN)[0]) == 2
    onset[44], offset[44] = 0.9, 0.8
    assert not len(frame_scores.intervals_of(onset, offset, apex, 12, 40, OWN)[0])  # likelier an onset than an offset
    assert not len(frame_scores.intervals_of(onset, offset, 0 * apex, 12, 40, OWN)[0])


def test_learns_its_own_training_videos(path):
    made, inputs = planted.job(path, "auwgcn", epochs=60)
    spotter = auwgcn.fit(made, inputs)
    assert planted.own_f1(spotter, made) >= 0.9
    assert spotter.log[-1]["loss"] < spotter.log[0]["loss"] / 2
    assert spotter.parameters == pytest.approx(39_000, rel=0.02) and spotter.habit["threshold"] == 0.5
    assert spotter.valid("v0").all()


def test_both_kinds_with_their_own_scores_and_lengths(path):
    _, events = planted.tables()
    mixed = events.assign(expression_type=np.where(np.arange(len(events)) % 2, "micro", "macro"))
    made, inputs = planted.job(path, "auwgcn", events=mixed, epochs=1)
    spotter = auwgcn.fit(made, inputs)
    assert spotter.state["scores.weight"].shape == (10, 64, 3) and spotter.parameters == 39_248
    spans, confidence, own = spotter.spot("v1")
    assert spans.shape == (len(confidence), 2) and (confidence > 0).all()
    assert set(own[own <= 0.5]) <= {0} and 0 < (own > 0.5).sum() <= 2 * made.own["most"]


def test_a_fold_and_its_repetition(path, tmp_path):
    videos, events = planted.tables()
    every = planted.settings("auwgcn", epochs=3)
    found = []
    for name in ("a", "b"):
        inputs = task.Inputs(motion={1: path})
        fold.run(videos, events, events.iloc[:0], inputs, "pv0", tmp_path / name, every, 0)
        found.append((tmp_path / name / "detections.csv").read_text())
    assert found[0] == found[1]
    assert read_json(tmp_path / "a/threshold.json")["habit"]["every_hit"]
    measured = read_json(tmp_path / "a/cost.json")
    assert measured["parameters"] == 38_288 and measured["inputs"] == [f"{path.parent.name}/{path.stem}"]
    n = videos.n_frames[0]
    network = auwgcn.Network([np.eye(planted.REGIONS, dtype=np.float32)], frame_scores.OUTPUTS, OWN)
    of_video = cost.flop(lambda: network.eval()(torch.zeros(1, n, planted.REGIONS, 2)))
    assert measured["gflop_per_minute"] == pytest.approx(of_video / 1e9 * 1800 / n) and measured["frames"] == n
    assert needs.INPUT["auwgcn"] == needs.REGIONS and needs.gaps(videos, events, events, "pv0", every) == [1]


def test_held_out_subjects_without_an_expression_have_no_loss(path):
    _, events = planted.tables()
    spotter = auwgcn.fit(*planted.job(path, "auwgcn", ("v0",), events=events[events.video_id == "v0"], epochs=1))
    assert np.isfinite(spotter.log[-1]["loss"]) and np.isnan(spotter.log[-1]["held_out_loss"])


def test_failures_say_why(path):
    _, events = planted.tables()
    with pytest.raises(task.Failed, match=r"no expression of the training subjects$"):
        auwgcn.fit(*planted.job(path, "auwgcn", ("v0",), events=events[events.video_id != "v0"]))
    at_the_end = events.iloc[:1].assign(onset=planted.STEPS - 1, apex=planted.STEPS - 1, offset=planted.STEPS - 1)
    with pytest.raises(task.Failed, match="no expression of the training subjects shows a face"):
        auwgcn.fit(*planted.job(path, "auwgcn", ("v0",), events=at_the_end))
    with pytest.raises(task.Failed, match="not converging: auwgcn: step"):
        auwgcn.fit(*planted.job(path, "auwgcn", epochs=5, learning_rate=1e30))
