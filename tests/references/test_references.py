"""Chance has the training subjects' statistics; classic finds a change and has no emotion."""

import h5py
import numpy as np
import pandas as pd
import pytest

from fedn_pipeline import config
from fedn_pipeline.features import cache
from fedn_pipeline.files import read_json
from fedn_pipeline.references import chance, classic, fold

SETTINGS = config.validate({})["folds"]


def tables(n=3, seconds=100):
    videos = pd.DataFrame({"video_id": [f"v{i}" for i in range(n)], "n_frames": seconds * 30, "fps": 30.0})
    onset = np.arange(0, 2000, 200)
    events = pd.concat(
        pd.DataFrame({"video_id": f"v{i}", "onset": onset, "offset": onset + 29, "emotion": "anger"}) for i in range(n)
    )
    return videos, events


def test_chance_follows_the_training_statistics():
    videos, events = tables()
    found = chance.detect(videos[:1], videos[1:], events[events.video_id != "v0"], draws=200, seed=0)
    assert set(found.draw) == set(range(200))
    assert len(found) / 200 == pytest.approx(10, rel=0.1)  # ten events in a hundred seconds
    assert (found.offset - found.onset + 1 == 30).all() and set(found.emotion) == {"anger"}
    assert found.onset.min() >= 0 and found.offset.max() < 3000
    assert found.equals(chance.detect(videos[:1], videos[1:], events[events.video_id != "v0"], draws=200, seed=0))
    assert not found.equals(chance.detect(videos[:1], videos[1:], events[events.video_id != "v0"], draws=200, seed=1))


def test_chance_without_training_events_proposes_nothing():
    videos, events = tables()
    assert len(chance.detect(videos[:1], videos[1:], events[:0], draws=3, seed=0)) == 0


def test_classic_finds_the_change():
    features = np.random.default_rng(0).normal(size=(600, 512)) * 0.05
    features[300:330, :8] += np.sin(np.linspace(0, np.pi, 30))[:, None]
    entry = cache.Features(features.astype(np.float16), np.ones(600, dtype=bool), {})
    videos, events = tables(1, seconds=20)
    assert classic.mean_length(videos, events) == 30
    assert classic.grid(videos, events, SETTINGS)[:3] == [(8, 0.1), (8, 0.2), (15, 0.1)]
    found = classic.detect(videos, {"v0": entry}, classic.distances({"v0": entry}, k=15), smoothing_s=0.2)
    best = found.loc[found.confidence.idxmax()]
    assert abs((best.onset + best.offset) / 2 - 315) <= 3 and set(found.emotion) == {""}
    assert 20 <= best.offset - best.onset + 1 <= 60
    assert found.confidence.nlargest(2).iloc[1] < 0.9 * best.confidence


def test_classic_distance_is_zero_without_a_face():
    features = np.random.default_rng(0).normal(size=(100, 8))
    valid = np.ones(100, dtype=bool)
    valid[40:60] = False
    found = classic.distance(features, valid, k=3)
    assert (found[37:63] == 0).all() and (found[:37] > 0).all()


@pytest.mark.parametrize("k", [1, 7, 39, 40, 60])
def test_classic_distance_is_the_mean_to_both_sides(k):
    x = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    found = classic.distance(x, np.ones(40, dtype=bool), k)
    for i in range(40):
        sides = x[i] - x[max(i - k, 0)], x[i] - x[min(i + k, 39)]
        assert found[i] == pytest.approx(np.mean([np.linalg.norm(side) for side in sides]), rel=1e-6)


def test_classic_without_any_face_proposes_nothing():
    videos, _ = tables(1, seconds=4)
    entry = cache.Features(np.zeros((120, 8), dtype=np.float16), np.zeros(120, dtype=bool), {})
    assert len(classic.detect(videos, {"v0": entry}, classic.distances({"v0": entry}, k=15), smoothing_s=0.1)) == 0


def test_no_reference_proposes_intervals_mostly_without_a_face():
    videos, _ = tables(1, seconds=4)
    valid = np.ones(120, dtype=bool)
    valid[40:60] = False
    table = pd.DataFrame({"video_id": "v0", "onset": [40, 40, 90], "offset": [78, 80, 95]})
    assert fold.without_missing(table, videos, {"v0": valid}, 0.5).offset.tolist() == [80, 95]


def test_cost_of_classic_is_time_alone_and_of_chance_not_measured(tmp_path):
    videos, events = tables(4, seconds=20)
    videos["subject"], events = videos.video_id, events[events.offset < 600]
    with h5py.File(tmp_path / "part.h5", "w") as file:
        for number, video in enumerate(videos.video_id):
            rows = np.random.default_rng(number).normal(size=(600, 8)).astype(np.float16)
            cache.write_group(file, video, cache.Features(rows, np.ones(600, dtype=bool), {"frame_stride": 1}))
    cache.merge([tmp_path / "part.h5"], tmp_path / "net.h5")
    for method in ("chance", "classic"):
        every = config.validate({"folds": {"method": method}})
        fold.run(videos, events, tmp_path / "net.h5", "v1", tmp_path / method, every, 0)
    assert set(read_json(tmp_path / "chance/cost.json").values()) == {None}
    measured = read_json(tmp_path / "classic/cost.json")
    assert measured["frames"] == 600 and measured["parameters"] == measured["gflop_per_minute"] == 0
    assert measured["seconds"] > 0 and measured["inputs"] == [f"{tmp_path.name}/net"]
