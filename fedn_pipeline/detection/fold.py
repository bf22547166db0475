"""Stage `detections`: one fold's raw predictions -> `detections.csv`, `threshold.json` and `detections_cost.json`.

The threshold is the one that is best on the fold's held-out training subjects; its test subject has no say in it
(evaluation.md, "How the threshold is chosen").
"""

from fedn_pipeline import cost
from fedn_pipeline.dataset.tables import write_detections
from fedn_pipeline.detection import candidates
from fedn_pipeline.detection.threshold import choose_threshold
from fedn_pipeline.files import write_json
from fedn_pipeline.training import predictions


def finish(test, held_out, held_out_videos, events, folder, settings, further=None):
    """Choose the threshold on `held_out` detections, mark the `test` ones as kept, write both files.

    `settings`: sections detections and evaluation. `further` goes into the threshold's record, which is returned.
    """
    ids = set(held_out_videos.video_id)
    evaluation, theirs = settings["evaluation"], events[events.video_id.isin(ids)]
    chosen = choose_threshold(held_out, theirs, held_out_videos, evaluation["iou"], evaluation["fallback_threshold"])
    test = test.assign(kept=(test.confidence >= chosen["threshold"]).astype(int))
    record = {**chosen, "chosen_on": sorted(ids), "protocol": "held_out", **(further or {})}
    write_json(folder / "threshold.json", record)
    write_detections(folder / "detections.csv", test)
    return record


def run(predictions_path, videos, events, folder, settings):
    """Detections and threshold of a fold of the network, written into `folder`."""
    roles, classes = predictions.read(predictions_path)
    test, held_out = (roles.get(role, {}) for role in ("test", "held_out"))
    test_videos, held_out_videos = (videos[videos.video_id.isin(role)] for role in (test, held_out))

    def decoded(part):
        return candidates.of_videos({video: test[video] for video in part.video_id}, classes, settings["detections"])

    found = cost.measured(folder / cost.DECODING, decoded, test_videos)
    theirs = candidates.of_videos(held_out, classes, settings["detections"])
    return finish(found, theirs, held_out_videos, events, folder, settings)
