"""One fold of a reference row: the same split and files as a fold of the network."""

import numpy as np

from fedn_pipeline import cost, intervals
from fedn_pipeline.dataset.tables import write_detections
from fedn_pipeline.detection import fold as detection_fold
from fedn_pipeline.detection.candidates import missing_share
from fedn_pipeline.detection.threshold import choose_threshold
from fedn_pipeline.features import cache
from fedn_pipeline.files import write_json
from fedn_pipeline.references import chance, classic
from fedn_pipeline.training.record import write_record
from fedn_pipeline.training.split import split


def without_missing(table, videos, valid, max_share):
    """Drop detections of which more than `max_share` lies in frames without a face (`valid`: video id -> [n_steps])."""
    fps, keep = videos.set_index("video_id").fps, np.ones(len(table), dtype=bool)
    for video, rows in table.reset_index(drop=True).groupby("video_id").groups.items():
        spans = intervals.half_open(table.onset.to_numpy()[rows], table.offset.to_numpy()[rows])
        spans = intervals.to_feature_axis(spans, fps[video])
        keep[rows] = missing_share(spans, valid[video]) <= max_share
    return table[keep].reset_index(drop=True)


def run(videos, events, features_path, held_out, folder, settings, seed):
    """Write `detections.csv`, `threshold.json`, `cost.json` and `fold.json` of one fold of `folds.method`, chance or
    classic. What chance takes says nothing and is not measured.

    A reference has no gradient, so all training subjects are at hand for its statistics and its threshold.
    """
    folds, iou = settings["folds"], settings["evaluation"]["iou"]
    parts = split(videos, folds["group"], held_out, settings["training"]["held_out_fraction"])
    test = videos[videos.video_id.isin(parts.test)]
    teaching = ~videos.video_id.isin([*parts.test, *cache.left_out(features_path, videos.video_id)])
    training = videos[teaching]
    training_events = events[events.video_id.isin(training.video_id)]

    def proposed(table, valid):
        return without_missing(table, videos, valid, settings["detections"]["max_missing_share"])

    if folds["method"] == "chance":
        valid = {video: cache.read_valid(features_path, video) for video in test.video_id}
        table = proposed(chance.detect(test, training, training_events, folds["chance_draws"], seed), valid)
        write_json(folder / "threshold.json", {"threshold": 0.0, "protocol": "none", "draws": folds["chance_draws"]})
        write_detections(folder / "detections.csv", table)
        cost.unknown(folder / cost.NAME)
    else:
        features = {video: cache.read(features_path, video) for video in videos.video_id}
        valid = {video: entry.valid for video, entry in features.items()}
        candidates = classic.grid(training, training_events, folds)
        learnt = {video: features[video] for video in training.video_id}
        distances = {k: classic.distances(learnt, k) for k in {k for k, _ in candidates}}

        def found_in(part, distance_of, smoothing_s):
            return proposed(classic.detect(part, features, distance_of, smoothing_s), valid)

        def f1_on_training(candidate):
            k, smoothing_s = candidate
            found = found_in(training, distances[k], smoothing_s)
            return choose_threshold(found, training_events, training, iou)["spotting_f1"] or 0

        best = max(candidates, key=f1_on_training)  # the first of equals

        def predict(part):
            mine = {video: features[video] for video in part.video_id}
            return found_in(part, classic.distances(mine, best[0]), best[1])

        predicted = cost.measured(folder / cost.NAME, predict, test, inputs=[features_path])
        found = [predicted, found_in(training, distances[best[0]], best[1])]
        chosen = {"protocol": "training_subjects", "k": best[0], "smoothing_s": best[1]}
        detection_fold.finish(*found, training, training_events, folder, settings, chosen)
    write_record(folder, parts, held_out, features_path, seed, folds, "references/fold.py")
