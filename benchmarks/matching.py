"""Matching at all ten IoU thresholds and AP: 1300 videos of 100 detections, against a pandas loop and pycocotools.

    python benchmarks/matching.py [--quick]

The pandas loop works like ActivityNet's evaluation tool: one prediction after the other, its video's ground truth
looked up in a groupby. It takes minutes: `--quick` runs it on a sample of the videos and scales its time. pycocotools
is timed from its own finished index on. Both must give our AP.
"""

import contextlib
import io

import numpy as np
from common import alternate, detections_near, like_casme3, options, report, seconds

from fedn_pipeline.evaluation.average_precision import average_precision
from fedn_pipeline.evaluation.metrics import default_settings
from fedn_pipeline.matching import UNMATCHED, match

IOUS = np.array(default_settings()["map_ious"])
ROUNDING = 1e-12  # sums in another order


def ours(events, detections):
    """AP of COCO and of ActivityNet, `[n_thresholds]` each."""
    order = np.argsort(-detections.confidence.to_numpy(), kind="stable")
    hit = match(detections, events, IOUS)[:, order] != UNMATCHED
    interpolated, all_point = average_precision(hit, np.zeros(len(order), dtype=int), [len(events)], [[1]])
    return interpolated[:, 0], all_point[:, 0]


def pandas_loop(events, detections):
    """AP `[n_thresholds]`, area under the precision envelope."""
    detections = detections.sort_values("confidence", ascending=False, ignore_index=True)
    of_video = events.groupby("video_id")
    taken, hit = np.zeros((len(IOUS), len(events)), dtype=bool), np.zeros((len(IOUS), len(detections)), dtype=bool)
    for i, detection in detections.iterrows():
        if detection.video_id not in of_video.groups:
            continue
        truth = of_video.get_group(detection.video_id).reset_index()
        onset, offset = truth[["onset", "offset"]].to_numpy().T
        common = (np.minimum(offset, detection.offset) - np.maximum(onset, detection.onset) + 1).clip(min=0)
        iou = common / ((offset - onset + 1) + (detection.offset - detection.onset + 1) - common)
        for t, least in enumerate(IOUS):
            for j in iou.argsort(kind="stable")[::-1]:
                if iou[j] < least:
                    break
                if not taken[t, truth["index"][j]]:
                    taken[t, truth["index"][j]] = hit[t, i] = True
                    break
    found = hit.cumsum(axis=1)
    precision = found / np.arange(1, len(detections) + 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return (np.diff(found / len(events), axis=1, prepend=0) * envelope).sum(axis=1)


def coco_evaluation(videos, events, detections):
    """A pycocotools evaluation of boxes of height 1, ready to run. Raises ImportError without pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images = {name: i + 1 for i, name in enumerate(videos.video_id)}

    def boxes(table):
        width = table.offset - table.onset + 1
        rows = zip(table.video_id.map(images).tolist(), table.onset.tolist(), width.tolist(), strict=True)
        for i, (image, onset, wide) in enumerate(rows):
            shared = {"id": i + 1, "image_id": image, "category_id": 1}
            yield shared | {"bbox": [onset, 0, wide, 1], "area": wide, "iscrowd": 0}

    truth = COCO()
    truth.dataset = {"info": {}, "images": [{"id": i} for i in images.values()], "categories": [{"id": 1}]}
    truth.dataset["annotations"] = list(boxes(events))
    truth.createIndex()
    scores = zip(boxes(detections), detections.confidence.tolist(), strict=True)
    coco = COCOeval(truth, truth.loadRes([box | {"score": score} for box, score in scores]), "bbox")
    coco.params.iouThrs, coco.params.maxDets = IOUS, [len(detections)]
    coco.params.areaRng, coco.params.areaRngLbl = [[0, 1e10]], ["all"]
    return coco


def coco_ap(coco):
    """AP `[n_thresholds]`, precision envelope at 101 recalls."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco.evaluate()
        coco.accumulate()
    return coco.eval["precision"][..., 0, 0, 0].mean(axis=1)


def apart(one, other):
    """Largest difference of two APs; ends the benchmark if it is more than rounding."""
    largest = abs(one - other).max()
    if largest > ROUNDING:
        raise SystemExit(f"AP differs by {largest:.1e}")
    return largest


def main():
    quick = options(__doc__.splitlines()[0]).quick
    random = np.random.default_rng(0)
    videos, events = like_casme3()
    detections = detections_near(random, videos, events)
    interpolated, _ = ours(events, detections)

    share = 26 if quick else 1
    sample = videos.video_id[::share]
    part = [table[table.video_id.isin(sample)].reset_index(drop=True) for table in (events, detections)]
    results = []
    loop_s = share * seconds(lambda: results.append(pandas_loop(*part)))
    ours_s, _ = alternate(lambda: ours(events, detections), lambda: None, 5)
    print(f"pandas loop on 1/{share} of the videos; largest difference of AP {apart(results[0], ours(*part)[1]):.1e}")
    report("matching and AP, against a pandas loop", ours_s, loop_s, 50, "s")

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = coco_evaluation(videos, events, detections)
    except ImportError:
        print("pycocotools is not installed: not compared")
        return
    ours_s, coco_s = alternate(lambda: ours(events, detections), lambda: coco_ap(coco), 1 if quick else 5)
    print(f"pycocotools; largest difference of AP {apart(coco_ap(coco), interpolated):.1e}")
    report("matching and AP, against pycocotools", ours_s, coco_s, 5, "s")


if __name__ == "__main__":
    main()
