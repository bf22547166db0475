"""SpotFormer: its size and shapes, that every scale counts, what pooling joins, what the contrastive term pulls
together, and that it learns planted region flow."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from fedn_pipeline import compute, config, intervals
from fedn_pipeline.detection.threshold import choose_threshold
from fedn_pipeline.features import cache
from fedn_pipeline.peers import fold, frame_scores, needs, spotformer, task
from fedn_pipeline.peers import spotformer_network as network
from fedn_pipeline.training.split import Split

STEPS, REGIONS, LENGTH = 240, 12, 24
ONSETS = (30, 100, 180)
DEFAULT = config.validate({})["spotformer"]
TINY = {"width": 32, "heads": 2, "head_width": 16, "feed_forward": 32, "dropout": 0.0, "batch_size": 8}
SETTINGS = config.validate({
    "folds": {"method": "spotformer"},
    "spotformer": {**TINY, "epochs": 40, "learning_rate": 3e-3, "window_stride": 4},
})  # fmt: skip


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Videos, events and a cache of four subjects whose brows or mouths move there and back in each expression."""
    path = tmp_path_factory.mktemp("regions") / "gap1.h5"
    rows = [(f"v{n}", f"p{n}", f"v{n}.mp4", "video", STEPS, 30.0, 640, 480) for n in range(4)]
    events = [
        (f"v{n}", onset, onset + LENGTH // 2, onset + LENGTH - 1, "macro", "happiness", "annotated", "planted")
        for n in range(4)
        for onset in ONSETS
    ]
    with h5py.File(path.with_name("part.h5"), "w") as file:
        for n in range(4):
            place = np.zeros((STEPS + 1, REGIONS, 2))
            for i, onset in enumerate(ONSETS):
                moving = slice(0, 6) if (n + i) % 2 else slice(8, 12)
                place[onset : onset + LENGTH, moving] = 3 * np.sin(np.linspace(0, np.pi, LENGTH))[:, None, None]
            flow = np.diff(place, axis=0) + np.random.default_rng(n).normal(size=(STEPS, REGIONS, 2)) * 0.02
            valid = np.arange(STEPS) < STEPS - 1
            flow[~valid] = 0
            attributes = {"frame_stride": 1, "gap": 1, "weights_sha256": "none", "weights_origin": "planted"}
            cache.write_group(file, f"v{n}", cache.Features(flow.astype(np.float16), valid, attributes))
    cache.merge([path.with_name("part.h5")], path)
    columns = ["video_id", "subject", "source", "kind", "n_frames", "fps", "width", "height"]
    names = ["video_id", "onset", "apex", "offset", "expression_type", "emotion", "label_set", "provenance"]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(events, columns=names), path


def a_task(videos, events, others=None, train=("v0", "v1", "v2"), **own):
    parts = Split(train, ("v3",), ())
    device, generator = compute.prepare(0, 1), np.random.default_rng(0)
    others = events[:0] if others is None else others
    return task.Task(
        videos, events, others, parts, SETTINGS, {**SETTINGS["spotformer"], **own}, generator, device, "test"
    )


def small(**changes):
    torch.manual_seed(0)
    return network.SpotFormer({**DEFAULT, **TINY, **changes}).eval()


def some_windows(n=4):
    return torch.randn(n, DEFAULT["window"], REGIONS, 2, generator=torch.Generator().manual_seed(1))


def test_size_is_as_stated():
    """3,168,522 parameters, by hand: 6 blocks, 4 shortening convolutions, 2 poolings, embedding, places, head."""
    width, inner = 256, 4 * 64
    block = 2 * width + 3 * width * inner + (inner + 1) * width + 2 * width + 2 * (width + 1) * width
    shorten, places = 2 * width + 3 * width * width, (17 + 3) * width
    expected = 6 * block + 4 * shorten + 2 * 2 * width + 3 * width + 2 * width + places + (width + 1) * 10
    n = sum(value.numel() for value in network.SpotFormer(DEFAULT).parameters())
    assert n == expected == 3_168_522
    assert f"{n:,} parameters" in spotformer.__doc__ and f"{n:,}" in network.__doc__
    assert needs.INPUT["spotformer"] == needs.REGIONS


def test_shapes_of_every_scale():
    """Three spatial scales (10 regions, 3 areas, the face) and the steps of four temporal ones, at the real width."""
    torch.manual_seed(0)
    net, seen = network.SpotFormer(DEFAULT).eval(), []
    for block in net.temporal:
        block.register_forward_hook(lambda module, given, out: seen.append(tuple(out.shape)))
    outputs, embeddings = net(some_windows(2))
    assert seen == [(2, 10, 17, 256), (2, 3, 8, 256), (2, 1, 3, 256), (2, 1, 2, 256)]
    assert outputs.shape == (2, 2, 5) and embeddings.shape == (2, 256)


@pytest.mark.parametrize("scale", range(4))
def test_every_scale_changes_the_output(scale):
    """Multi-scale fusion: without what one scale adds, the same network says something else."""
    net, flow = small(), some_windows()
    with torch.no_grad():
        before = net(flow)[0]
        net.temporal[scale] = torch.nn.Identity()
        if scale < 2:
            net.spatial[scale] = torch.nn.Identity()
        after = net(flow)[0]
    assert (before - after).abs().amax(dim=(1, 2)).min() > 1e-3


def test_pooling_joins_neighbours_only():
    """Brow left, brow right, mouth: a region reaches its own area's node and no other; the nose's two reach none."""
    pool = network.Pool([3, 3, 4], 8).eval()
    nodes = torch.randn(1, 10, 5, 8, generator=torch.Generator().manual_seed(0))
    before = pool(nodes)
    assert before.shape == (1, 3, 5, 8)
    for region in range(10):
        moved = nodes.clone()
        moved[:, region] += 100
        changed = (pool(moved) != before).any(-1).any(-1)[0]
        assert changed.tolist() == [region < 3, 3 <= region < 6, region >= 6]
    net, flow = small(), some_windows()
    nose = flow.clone()
    nose[:, :, 6:8] += 100
    assert torch.equal(net(flow)[0], net(nose)[0])
    for region in (0, 1, 2, 3, 4, 5, 8, 9, 10, 11):
        other = flow.clone()
        other[:, :, region] += 1
        assert not torch.allclose(net(flow)[0], net(other)[0])


def test_windows_hold_short_and_long_spans():
    """At a constant speed the flow over k steps is k times that of one; windows end where the video does."""
    speed = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float16)
    found = spotformer.windows(np.repeat(speed[None], 50, axis=0), 17).astype(np.float32)
    assert found.shape == (50, 17, 3, 2)
    expected = np.arange(17)[:, None, None] * speed.astype(np.float32)
    assert np.allclose(found[8], expected, atol=2e-2) and np.allclose(found[30], expected, atol=2e-2)
    assert not found[0, :9].any() and np.allclose(found[0, 9], speed, atol=1e-2)  # nothing moves before the video
    flow = np.zeros((50, 1, 2))
    flow[20] = 1  # from step 20 to 21
    touched = np.flatnonzero(spotformer.windows(flow, 17).any(axis=(1, 2, 3)))
    assert touched.tolist() == list(range(13, 29))  # the windows that hold both 20 and 21


def test_contrastive_term_pulls_a_class_together():
    """Descending it makes embeddings of a class alike and those of two classes less so."""
    torch.manual_seed(0)
    classes = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
    embeddings = torch.randn(8, 16, requires_grad=True)
    alike = (classes[:, None] == classes) & ~torch.eye(8, dtype=torch.bool)

    def similarity(chosen):
        units = torch.nn.functional.normalize(embeddings.detach(), dim=1)
        return float((units @ units.T)[chosen].mean())

    before, first = (similarity(alike), similarity(classes[:, None] != classes)), None
    optimizer = torch.optim.Adam([embeddings], lr=0.05)
    for _ in range(100):
        value = network.contrastive(embeddings, classes, DEFAULT)
        first = first or float(value.detach())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert float(value.detach()) < first
    assert similarity(alike) > max(0.95, before[0]) and similarity(classes[:, None] != classes) < before[1]
    lonely = network.contrastive(torch.randn(2, 16), torch.tensor([0, 1]), DEFAULT)
    assert float(lonely) == 0  # no class has two


def test_training_leaves_out_other_events_and_segments_without_expressions(planted):
    videos, events, path = planted
    mine, theirs = events[events.onset != ONSETS[1]], events[events.onset == ONSETS[1]]
    found = spotformer.samples(a_task(videos, mine, theirs), path, ["v0"])
    whole = spotformer.samples(a_task(videos, mine), path, ["v0"])
    assert len(found.segments) == len(whole.segments) and len(found.segments[0]) == 16
    assert all((found.columns[-1][rows] > 0).any() for rows in found.segments)
    assert len(spotformer.samples(a_task(videos, events), path, ["v0"]).segments) > len(whole.segments)
    near = pd.DataFrame([{**mine.iloc[0].to_dict(), "onset": ONSETS[0] - 8, "offset": ONSETS[0] - 1}])
    without = spotformer.samples(a_task(videos, mine, near), path, ["v0"])
    assert sum(map(len, whole.segments)) - sum(map(len, without.segments)) == 8 - (ONSETS[0] - 8) % 2
    few = found.draw([0, 1], 4, np.random.default_rng(0))
    assert [len(column) for column in few] == [8] * 5


def test_own_protocol_keeps_the_best_of_a_kind():
    apex, score, kinds = (
        np.array([0.9, 0.8, 0.7, 0.4, 0.6]),
        np.array([0.1, 0.3, 0.2, 0.9, 0.05]),
        np.array([0, 0, 0, 0, 1]),
    )
    kept = frame_scores.own_scores(apex, score, kinds, {**DEFAULT, "most": 2})
    assert kept.tolist() == [0, 0.8, 0.7, 0, 0.6]


def detections(spotter, videos):
    return fold.detections(spotter, videos, SETTINGS["detections"])


def test_it_learns_planted_expressions(planted):
    """Overfits: F1 at least 0.9 on its own training videos, and the same on what it has not seen."""
    videos, events, path = planted
    spotter = spotformer.fit(a_task(videos, events), task.Inputs(motion={1: path}))
    assert spotter.log[-1]["loss"] < spotter.log[0]["loss"] and np.isfinite(spotter.log[-1]["held_out_loss"])
    for ids in (["v0", "v1", "v2"], ["v3"]):
        part = videos[videos.video_id.isin(ids)]
        assert choose_threshold(detections(spotter, part), events, part)["spotting_f1"] >= 0.9
    _, confidence, own = spotter.spot("v0")
    assert ((confidence >= 0) & (confidence <= 1)).all() and (own > DEFAULT["apex_threshold"]).sum() <= DEFAULT["most"]
    assert spotter.habit["threshold"] == 0.5 and "apex above 0.5" in spotter.habit["words"]


def test_both_kinds_are_learnt_and_joined(planted):
    """A micro-expression has its own outputs and lengths; of overlapping intervals of the two one stays."""
    videos, events, path = planted
    micro = events.onset == ONSETS[1]
    both = events.assign(expression_type=np.where(micro, "micro", "macro"))
    both.loc[micro, "offset"] = ONSETS[1] + 9
    both["apex"] = both.onset + 4
    columns = spotformer.samples(a_task(videos, both), path, ["v0"]).columns
    assert set(columns[-1].tolist()) == {0, 1, 2} and columns[2].max(0).values.tolist() == [1, 1]
    spotter = spotformer.fit(a_task(videos, both, epochs=4), task.Inputs(motion={1: path}))
    spans, confidence, _ = spotter.spot("v0")
    overlap = intervals.pairwise_iou(spans, spans) - np.eye(len(spans))
    assert len(spans) > 1 and overlap.max() <= DEFAULT["nms_iou"] and (np.diff(confidence) <= 0).all()


def test_a_fold_repeats_and_its_failures_are_rows(planted, tmp_path):
    videos, events, path = planted
    inputs = task.Inputs(motion=task.by_gap([path]))
    brief = config.validate({
        "folds": {"method": "spotformer"},
        "spotformer": {**TINY, "epochs": 1, "window_stride": 8},
    })  # fmt: skip
    for name in ("one", "two"):
        fold.run(videos, events, events[:0], inputs, "p1", tmp_path / name, brief, 0)
    assert (tmp_path / "one/detections.csv").read_bytes() == (tmp_path / "two/detections.csv").read_bytes()
    assert "head.weight" in load_file(tmp_path / "one/checkpoint.safetensors")
    wild = {**brief, "spotformer": {**brief["spotformer"], "learning_rate": 1e30, "epochs": 3}}
    fold.run(videos, events, events[:0], inputs, "p1", tmp_path / "wild", wild, 0)
    assert "failed: not converging" in (tmp_path / "wild/fold.json").read_text()


def test_without_a_face_there_is_nothing_to_learn(planted, tmp_path):
    videos, events, path = planted
    with h5py.File(tmp_path / "part.h5", "w") as file:
        for video in videos.video_id:
            entry = cache.read(path, video)
            cache.write_group(file, video, cache.Features(entry.features * 0, entry.valid & False, entry.attributes))
    cache.merge([tmp_path / "part.h5"], tmp_path / "gap1.h5")
    with pytest.raises(task.Failed, match="no window to learn from"):
        spotformer.fit(a_task(videos, events), task.Inputs(motion={1: tmp_path / "gap1.h5"}))
