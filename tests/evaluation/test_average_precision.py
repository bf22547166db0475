"""AP against pycocotools (boxes of height 1), against a literal all-point area, and weights against repetition."""

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fedn_pipeline.evaluation import average_precision as module
from fedn_pipeline.evaluation.average_precision import average_precision
from fedn_pipeline.evaluation.metrics import evaluate

EMOTIONS = ["anger", "disgust", "happiness", "surprise"]


def random_case(seed):
    """Crowded videos, near hits and noise; every third case has many equal confidences."""
    random = np.random.default_rng(seed)
    n_videos = random.integers(1, 6)
    videos = pd.DataFrame({"video_id": [f"v{i}" for i in range(n_videos)], "subject": "s"})

    def table(n):
        onset = random.integers(0, 300, n)
        columns = {
            "video_id": random.choice(videos["video_id"].to_numpy(dtype=object), n),
            "onset": onset,
            "offset": onset + random.integers(0, 60, n),
            "emotion": random.choice(EMOTIONS[: random.integers(1, 5)], n),
        }
        return pd.DataFrame(columns)

    events = table(random.integers(1, 25))
    near = events.iloc[random.integers(0, len(events), random.integers(0, 40))].copy()
    near["onset"] = (near["onset"] + random.integers(-6, 7, len(near))).clip(lower=0)
    near["offset"] = np.maximum(near["onset"], near["offset"] + random.integers(-6, 7, len(near)))
    detections = pd.concat([table(random.integers(1, 60)), near], ignore_index=True)
    detections = detections.sample(frac=1, random_state=seed, ignore_index=True)
    confidence = random.random(len(detections))
    return videos, events, detections.assign(confidence=confidence.round(1) if seed % 3 == 0 else confidence)


def coco_ap(videos, events, detections):
    """pycocotools' AP@[.5:.95]; class names become categories, every id starts at 1."""
    categories = {name: i + 1 for i, name in enumerate(sorted(set(events["emotion"]) | set(detections["emotion"])))}
    images = {name: i + 1 for i, name in enumerate(videos["video_id"])}

    def annotation(i, row):
        width = int(row.offset - row.onset + 1)
        shared = {"id": i + 1, "image_id": images[row.video_id], "category_id": categories[row.emotion]}
        return shared | {"bbox": [int(row.onset), 0, width, 1], "area": width, "iscrowd": 0}

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": i} for i in images.values()],
            "categories": [{"id": i} for i in categories.values()],
            "annotations": [annotation(i, row) for i, row in enumerate(events.itertuples())],
        }
        truth.createIndex()
        scored = [annotation(i, row) | {"score": row.confidence} for i, row in enumerate(detections.itertuples())]
        coco = COCOeval(truth, truth.loadRes(scored), "bbox")
        coco.params.areaRng, coco.params.areaRngLbl = [[0, 1e10]], ["all"]
        coco.params.maxDets = [10**6]
        coco.evaluate()
        coco.accumulate()
    precision = coco.eval["precision"]
    return precision[precision > -1].mean()


@pytest.mark.parametrize("seed", range(60))
def test_equals_pycocotools(seed):
    videos, events, detections = random_case(seed)
    ours = evaluate(videos, events, detections, threshold=0.5)
    without_class = [table.assign(emotion="expression") for table in (events, detections)]
    assert ours["spotting_map"] == pytest.approx(coco_ap(videos, *without_class), abs=1e-6)
    assert ours["detection_map"] == pytest.approx(coco_ap(videos, events, detections), abs=1e-6)


def literal_areas(hits, n_ground_truth):
    """Both APs of one ranking, one prediction after the other."""
    points = [(sum(hits[:k]) / n_ground_truth, sum(hits[:k]) / k) for k in range(1, len(hits) + 1)]

    def best(recall):
        return max((precision for reached, precision in points if reached >= recall), default=0.0)

    steps = zip([0.0, *(recall for recall, _ in points)], points, strict=False)
    all_point = sum((recall - before) * best(recall) for before, (recall, _) in steps)
    return np.mean([best(recall) for recall in np.linspace(0, 1, 101)]), all_point


@pytest.mark.parametrize("seed", range(40))
def test_weights_equal_repeated_rankings(seed):
    """A subject of weight w counts as if its predictions and its ground truth stood w times in the ranking."""
    random = np.random.default_rng(seed)
    n, n_subjects = random.integers(1, 60), random.integers(1, 5)
    hits, subject = random.random((3, n)) < [[0.6], [0.3], [0.0]], random.integers(0, n_subjects, n)
    n_ground_truth = np.bincount(subject[hits.any(axis=0)], minlength=n_subjects) + random.integers(0, 3, n_subjects)
    weights = random.integers(0, 4, (8, n_subjects))
    interpolated, all_point = average_precision(hits, subject, n_ground_truth, weights)
    for draw, weight in enumerate(weights):
        total = weight @ n_ground_truth
        for t in range(len(hits)):
            repeated = np.repeat(hits[t], weight[subject])
            expected = literal_areas(repeated.tolist(), total) if total else (np.nan, np.nan)
            np.testing.assert_allclose([interpolated[t, draw], all_point[t, draw]], expected, atol=1e-12)


@pytest.mark.parametrize("at_once", [1, 10_000])
def test_no_bit_depends_on_how_many_draws_are_computed_at_once(at_once, monkeypatch):
    random = np.random.default_rng(0)
    hits, subject = random.random((3, 500)) < [[0.6], [0.3], [0.1]], random.integers(0, 20, 500)
    n_ground_truth = np.bincount(subject[hits.any(axis=0)], minlength=20) + 1
    weights = random.multinomial(20, np.full(20, 1 / 20), 101)
    results = []
    for cells in (at_once, 10**9):
        monkeypatch.setattr(module, "CELLS_AT_ONCE", cells)
        results.append(average_precision(hits, subject, n_ground_truth, weights))
    np.testing.assert_array_equal(*results)


def test_a_ranking_by_hand():
    """Hit, miss, hit of four ground truths: precision 1 up to recall 1/4, then 2/3 up to 1/2, then nothing."""
    hits = np.array([[True, False, True]])
    interpolated, all_point = average_precision(hits, np.zeros(3, dtype=int), [4], [[1]])
    assert all_point[0, 0] == pytest.approx(1 / 4 + 1 / 4 * 2 / 3)
    assert interpolated[0, 0] == pytest.approx((26 + 25 * 2 / 3) / 101)


def test_nothing_predicted_and_nothing_to_find():
    none = np.zeros((2, 0), dtype=bool), np.zeros(0, dtype=int)
    assert average_precision(*none, [3], [[1]])[0].tolist() == [[0.0], [0.0]]
    assert np.isnan(average_precision(*none, [0], [[1]])).all()
    assert np.isnan(average_precision(np.array([[False]]), np.array([0]), [0], [[1]])).all()
