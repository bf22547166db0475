"""NMS of 1e5 candidates, against a plain Python loop; and how its time grows with a video's length.

    python benchmarks/nms.py [--quick]

30 videos of CAS(ME)^3's mean length, each with as many candidates as enter NMS by default; `--quick` takes 6 of them.
"""

import numpy as np
from common import alternate, options, report, seconds

from fedn_pipeline import config, intervals
from fedn_pipeline.detection.nms import nms

SETTINGS = config.validate({})
MEAN_FRAMES = 3000


def candidates(random, n_frames):
    """Intervals `[n, 2]` of the model's anchors, moved a little, and confidences that follow a curve over time."""
    n = round(SETTINGS["detections"]["max_per_minute"] * n_frames / (60 * intervals.FEATURE_FPS))
    strides, widths = (np.array(SETTINGS["model"][name]) for name in ("level_strides", "anchor_widths"))
    stride = random.choice(strides, n, p=1 / strides / (1 / strides).sum())
    half = stride * random.choice(widths, n) * np.exp(random.normal(0, 0.3, n)) / 2
    centre = random.random(n) * n_frames
    spans = np.stack([centre - half, centre + half], axis=1).clip(0, n_frames)
    curve = random.normal(-2.5, 1.5, n_frames // 40)
    logit = np.interp(centre, np.linspace(0, n_frames, len(curve)), curve) + random.normal(0, 0.7, n)
    return spans, 1 / (1 + np.exp(-logit))


def plain_loop(spans, confidence, limit):
    """Each candidate against those that stay so far."""
    spans, confidence, kept = spans.tolist(), confidence.tolist(), []
    for i in sorted(range(len(spans)), key=lambda i: -confidence[i]):
        start, end = spans[i]
        for j in kept:
            other_start, other_end = spans[j]
            overlap = min(end, other_end) - max(start, other_start)
            if overlap > 0 and overlap / (end - start + other_end - other_start - overlap) > limit:
                break
        else:
            kept.append(i)
    return kept


def main():
    quick = options(__doc__.splitlines()[0]).quick
    random = np.random.default_rng(0)
    limit = SETTINGS["detections"]["nms_iou"]
    videos = [candidates(random, MEAN_FRAMES) for _ in range(6 if quick else 30)]
    if any(nms(*video, limit).tolist() != plain_loop(*video, limit) for video in videos[:3]):
        raise SystemExit("NMS differs from the loop")

    for times in (1, 2, 4, 8):
        video = candidates(random, times * MEAN_FRAMES)
        took = min(seconds(lambda video=video: nms(*video, limit)) for _ in range(5))
        print(f"one video of {times * MEAN_FRAMES:6} frames, {len(video[1]):6} candidates: {1000 * took:7.1f} ms")
    ours_s, loop_s = alternate(
        lambda: [nms(*video, limit) for video in videos], lambda: [plain_loop(*video, limit) for video in videos], 3
    )
    n = sum(len(confidence) for _, confidence in videos)
    print(f"{len(videos)} videos, {n} candidates; both keep the same of the first three")
    report("NMS, against a Python loop", ours_s, loop_s, 20, "s")


if __name__ == "__main__":
    main()
