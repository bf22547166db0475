"""One fold of a reference row: the same split and files as a fold of the network."""

from fedn_pipeline.detection import fold as detection_fold
from fedn_pipeline.detection.threshold import choose_threshold
from fedn_pipeline.files import write_csv, write_json
from fedn_pipeline.references import chance, classic
from fedn_pipeline.training.record import write_record
from fedn_pipeline.training.split import split


def run(videos, events, features_path, held_out, folder, settings, seed):
    """Write `detections.csv` and `threshold.json` of `folds.method` (chance or classic) for the fold `held_out`.

    A reference has no gradient, so all training subjects are at hand for its statistics and its threshold.
    """
    folds = settings["folds"]
    parts = split(videos, folds["group"], held_out, settings["training"]["held_out_fraction"])
    test = videos[videos.video_id.isin(parts.test)]
    training = videos[~videos.video_id.isin(parts.test)]
    training_events = events[events.video_id.isin(training.video_id)]
    if folds["method"] == "chance":
        table = chance.detect(test, training, training_events, folds["chance_draws"], seed)
        write_json(folder / "threshold.json", {"threshold": 0.0, "protocol": "none", "draws": folds["chance_draws"]})
        write_csv(folder / "detections.csv", table, float_format="%.9g")
    else:

        def f1_on_training(candidate):
            found = classic.detect(training, features_path, *candidate)
            return choose_threshold(found, training_events, training, settings["evaluation"]["iou"])["spotting_f1"] or 0

        best = max(classic.grid(training, training_events, folds), key=f1_on_training)  # the first of equals
        found = [classic.detect(part, features_path, *best) for part in (test, training)]
        detection_fold.finish(*found, training, training_events, folder, settings)
    write_record(folder, parts, held_out, features_path, seed)
