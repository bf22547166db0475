"""STR: which windows are positive, where an interval's apex is, that spotter and recogniser learn planted flow."""

import h5py
import numpy as np
import planted
import pytest
import torch
from planted import GAP, LENGTH, ONSETS, STEPS

from fedn_pipeline import compute, config
from fedn_pipeline.cascades import str_network, str_recogniser, str_spotter, str_windows
from fedn_pipeline.cascades.samples import Samples, of_events
from fedn_pipeline.detection.threshold import choose_threshold
from fedn_pipeline.features import cache
from fedn_pipeline.files import InputError

SETTINGS = planted.SETTINGS
DEFAULT = config.validate({})["str"]


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    path = tmp_path_factory.mktemp("flow") / "gap12.h5"
    planted.write_flow(path)
    return str_windows.load(path, ["v0", "v1", "v2", "v3"])


@pytest.fixture(scope="module")
def trained(flow):
    """Spotter trained on v0, v1, v2: network, log."""
    videos, events = planted.tables()
    device, generator = compute.prepare(0, 1), np.random.default_rng(0)
    windows = [str_windows.labelled(flow, videos, events, events[:0], ids, 2) for ids in (["v0", "v1", "v2"], ["v3"])]
    network = str_network.STR(flow.side, 2, SETTINGS["str"])
    return network, str_spotter.train(network, flow, *windows, SETTINGS["str"], generator, device, "test")


def test_a_window_is_positive_if_it_overlaps_an_expression_at_all(flow):
    videos, events = planted.tables()
    first = events[(events.video_id == "v0") & (events.onset == ONSETS[0])]
    windows = str_windows.labelled(flow, videos, first, first[:0], ["v0"], 1)
    assert len(windows.start) == STEPS - GAP and set(windows.video) == {"v0"}
    assert windows.start[windows.label == 1].tolist() == list(range(ONSETS[0] - GAP, ONSETS[0] + LENGTH))
    others = events[(events.video_id == "v0") & (events.onset == ONSETS[1])]
    without = str_windows.labelled(flow, videos, first, others, ["v0"], 1)
    gone = sorted(set(windows.start) - set(without.start))
    assert gone == list(range(ONSETS[1] - GAP, ONSETS[1] + LENGTH)) and without.label.sum() == windows.label.sum()
    assert str_windows.labelled(flow, videos, first, others, ["v0"], 5).start[:3].tolist() == [0, 5, 10]


def test_the_more_frequent_label_is_drawn_down():
    label = np.array([1.0] * 3 + [0.0] * 100, dtype=np.float32)
    windows = str_windows.Windows(np.full(103, "v", dtype=object), np.arange(103), label)
    few = str_windows.drawn(windows, {"majority": 5, "max_windows": 1000}, np.random.default_rng(0))
    assert (few.label == 1).sum() == 3 and (few.label == 0).sum() == 15 and (np.diff(few.start) > 0).all()
    assert len(str_windows.drawn(windows, {"majority": 5, "max_windows": 10}, np.random.default_rng(0)).start) == 10
    flipped = str_windows.Windows(windows.video, windows.start, 1 - label)
    assert str_windows.drawn(flipped, {"majority": 2, "max_windows": 1000}, np.random.default_rng(0)).label.sum() == 6


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((40, 64), 40),  # up in 40..52: the window from onset to apex
        ((35, 58), 40),  # spotted too early
        ((43, 70), 40),  # too late
        ((46, 64), 40),  # shorter than the expression: the past of its first steps counts
        ((0, 3), 0),  # at the start of the video
    ],
)
def test_apex_window_leads_from_onset_to_apex(span, expected):
    """Motion is largest from 40 on, and again, larger still, on the way back from 52 on."""
    magnitude = np.zeros(100, dtype=np.float32)
    magnitude[30:50] = 10 - np.abs(np.arange(30, 50) - 40)
    magnitude[52:64] = 20
    motion = str_windows.Motion(np.ones(100, dtype=bool), magnitude)
    assert str_windows.apex_window(span, motion, 12) == expected


def test_network_has_the_published_shape():
    network = str_network.STR(42, 3, DEFAULT).eval()
    streams = network.streams(torch.randn(2, 3, 42, 42))
    assert streams.shape == (2, 14, 14, 14)
    assert network.spotter(streams).shape == (2, 1) and network.recogniser(streams).shape == (2, 3)
    count = sum(value.numel() for value in [*network.streams.parameters(), *network.spotter.parameters()])
    assert count == (25 + 1) * 14 + 2 * 14 + (25 * 14 + 1) * 8 + 7 * 7 * 8 + 1


def test_a_score_stands_at_the_middle_of_its_window(flow, monkeypatch):
    """One window alone scores 1: a running mean over five steps spreads it evenly around its middle."""
    start = 77
    hit = torch.from_numpy(np.flatnonzero(flow.motion["v0"].valid) == start)
    monkeypatch.setattr(str_spotter, "_scores", lambda network, pictures, device: hit.numpy().astype(np.float32))
    score = str_spotter.score_over_time(None, flow, "v0", 2.5, {"smoothing": 2.0}, torch.device("cpu"))
    assert len(score) == STEPS and np.flatnonzero(score).tolist() == [start + GAP // 2 + i for i in range(-2, 3)]
    assert score[score > 0] == pytest.approx(0.2)


@pytest.mark.parametrize(("label", "count"), [(0, "0 of 100"), (1, "100 of 100")])
def test_a_spotter_with_one_label_alone_is_refused(label, count, flow):
    windows = str_windows.Windows(np.full(100, "v0", dtype=object), np.arange(100), np.full(100, label, np.float32))
    network = str_network.STR(flow.side, 2, SETTINGS["str"])
    arguments = SETTINGS["str"], np.random.default_rng(0), torch.device("cpu"), "STR spots without p1"
    with pytest.raises(InputError, match=rf"gap12\.h5: STR spots without p1: {count} training windows overlap"):
        str_spotter.train(network, flow, windows, windows, *arguments)


def test_held_out_videos_without_a_window_have_no_loss(flow):
    videos, events = planted.tables()
    windows = str_windows.labelled(flow, videos, events, events[:0], ["v0"], 4)
    network, settings = str_network.STR(flow.side, 2, SETTINGS["str"]), {**SETTINGS["str"], "spotter_epochs": 1}
    arguments = settings, np.random.default_rng(0), torch.device("cpu"), "test"
    log = str_spotter.train(network, flow, windows, windows.select(np.zeros(0, dtype=int)), *arguments)
    assert np.isfinite(log[-1]["loss"]) and np.isnan(log[-1]["held_out_loss"])


def test_flow_is_read_where_windows_are_and_its_magnitude_beside_it(flow, tmp_path):
    whole = cache.read(flow.path, "v1").features.astype(np.float32)
    wanted = np.hypot(whole[:, 0], whole[:, 1]).mean(axis=(1, 2))
    assert np.array_equal(flow.motion["v1"].magnitude, wanted) and wanted.max() > 0.2
    starts = np.array([200, 7, 7, 63])
    assert np.array_equal(flow.pictures("v1", starts), whole[starts])
    assert flow.pictures("v1", starts[:0]).shape == (0, 3, flow.side, flow.side)
    both = flow.pictures_of(np.array(["v1", "v0", "v1"], dtype=object), np.array([9, 5, 3]))
    assert np.array_equal(both[[0, 2]], whole[[9, 3]]) and np.array_equal(both[1:2], flow.pictures("v0", np.array([5])))
    with h5py.File(flow.path) as file, h5py.File(tmp_path / "old.h5", "w") as old:
        cache.write_group(old, "v1", cache.read(flow.path, "v1"))
        file.copy("v2", old)
    with pytest.raises(InputError, match=r"old\.h5: video v1: .*magnitude.*rule `flow`"):
        str_windows.load(tmp_path / "old.h5", ["v2", "v1"])
    with pytest.raises(InputError, match=r"old\.h5: video v3: "):
        str_windows.load(tmp_path / "old.h5", ["v3"])
    with pytest.raises(InputError, match=r"none\.h5: video v3: "):
        str_windows.load(tmp_path / "none.h5", ["v3"])


@pytest.mark.parametrize("name", ["features", "magnitude"])
def test_a_flipped_byte_is_named(name, flow, tmp_path):
    path = tmp_path / "damaged.h5"
    data = bytearray(flow.path.read_bytes())
    with h5py.File(flow.path) as file:
        data[file["v1"][name].id.get_chunk_info(0).byte_offset + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged\.h5: video v1: "):
        str_windows.load(path, ["v1"]).pictures("v1", np.array([5]))


def test_spotter_finds_planted_bursts(trained, flow):
    network, log = trained
    assert log[-1]["loss"] < log[0]["loss"] and log[-1]["held_out_loss"] < 0.1
    videos, events = planted.tables()
    test, theirs = videos[videos.video_id == "v3"], events[events.video_id == "v3"]
    found = str_spotter.detect(network, flow, test, LENGTH / 2, SETTINGS, torch.device("cpu"))
    assert found.confidence.between(0, 1).all() and set(found.emotion) == {""}
    assert choose_threshold(found, theirs, test)["spotting_f1"] == 1
    best = found.nlargest(3, "confidence").sort_values("onset")
    middle = (best.onset + best.offset) / 2 - (np.array(ONSETS) + (LENGTH - 1) / 2)
    assert (middle.abs() <= GAP / 2 + 1).all()  # the running mean is flat for so long to both sides
    assert (best.offset - best.onset).between(22, 26).all()


def test_intervals_come_back_on_the_source_axis_and_not_where_no_face_is(trained, flow):
    network, _ = trained
    videos, _ = planted.tables()
    slow = videos[videos.video_id == "v3"].assign(fps=15.0, n_frames=STEPS // 2)
    found = str_spotter.detect(network, flow, slow, LENGTH / 2, SETTINGS, torch.device("cpu"))
    best = found.nlargest(3, "confidence").sort_values("onset")
    assert np.abs(best.onset.to_numpy() - np.array(ONSETS) / 2).max() <= GAP / 4 + 1 and found.offset.max() < STEPS // 2
    kept = flow.motion["v3"].valid.copy()
    flow.motion["v3"].valid[ONSETS[0] - 2 * GAP : ONSETS[1] - 2 * GAP] = False
    blind = str_spotter.detect(network, flow, slow, LENGTH / 2, SETTINGS, torch.device("cpu"))
    flow.motion["v3"].valid[:] = False
    none = str_spotter.detect(network, flow, slow, LENGTH / 2, SETTINGS, torch.device("cpu"))
    flow.motion["v3"].valid[:] = kept
    assert blind.onset.nsmallest(1).iloc[0] > ONSETS[0] / 2 + 5 and not len(none)


def test_recogniser_names_planted_bursts_on_frozen_streams(trained, flow):
    network, _ = trained
    before = {name: value.clone() for name, value in network.state_dict().items()}
    videos, events = planted.tables()
    train, test = (of_events(events, videos, ids, planted.EMOTIONS) for ids in (["v0", "v1", "v2"], ["v3"]))
    cpu = torch.device("cpu")
    log = str_recogniser.train(network, flow, train, test, SETTINGS["str"], np.random.default_rng(0), cpu, "test")
    changed = {
        name.split(".")[0] for name, value in network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"recogniser"} and log[-1]["held_out_accuracy"] == 1
    for shift in (-6, 0, 6):
        moved = Samples(test.video, test.spans + shift, test.labels)
        assert (str_recogniser.scores(network, flow, moved, cpu).argmax(1) == test.labels).all()
