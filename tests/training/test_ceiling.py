"""The recall ceiling: counts that can be done by hand, the targets of training, the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedn_pipeline import cli, config
from fedn_pipeline.dataset.tables import ground_truth
from fedn_pipeline.training import ceiling

CONFIG = Path(__file__).resolve().parents[2] / "config"
MULTI_RATE = config.read_yaml(CONFIG / "experiments/multi_rate.yaml")["windows"]["rates"]


def tables(lengths, n_frames, fps=30.0, onset=0):
    """One video for each event: `lengths` and `n_frames` (or missing) in source frames."""
    ids = [f"v{number:04d}" for number in range(len(lengths))]
    videos = pd.DataFrame({"video_id": ids, "fps": fps, "n_frames": pd.array([n_frames] * len(ids), dtype="Int64")})
    events = pd.DataFrame({"video_id": ids, "onset": onset, "offset": onset + np.asarray(lengths) - 1, "emotion": ""})
    return videos, events


def bounds(videos, events, others=None, **windows):
    others = events[:0] if others is None else others
    return ceiling.compute(videos, events, others, config.validate({"windows": windows}))


def test_geometric_ceiling_of_casme3():
    """3346 expressions, 924 of them longer than 128 frames, 378 longer than 256: 88.7 % (model.md)."""
    lengths = [8] * (3346 - 924) + [129] * 300 + [256] * (924 - 378 - 300) + [257] * 300 + [4336] * 78
    found = bounds(*tables(lengths[::-1], pd.NA))
    assert (found["ground_truth"], found["longer_than_window"]) == (3346, 924)
    assert found["geometric"]["count"] == 3346 - 378 and found["geometric"]["share"] == pytest.approx(0.887, abs=5e-4)
    # 129 frames: 0.992; 256: 0.5, one of ten thresholds; 257 and 4336: none.
    assert found["geometric"]["mean_share"] == pytest.approx((2422 + 300 + 24.6) / 3346)
    assert found["assignable"]["count"] == 2422 + 300  # more than 90 % of 129 frames fit into a window
    assert found["videos_of_unknown_length"] == 3346


@pytest.mark.parametrize("n_frames", [9000, pd.NA])
def test_rates_remove_the_ceiling(n_frames):
    """multi_rate: every duration from 0.1 s to 150 s is in reach at every IoU, and every one from 8 frames on (0.27 s)
    is a target in training, wherever it lies; at rate 1 the long ones are lost."""
    lengths = np.unique(np.geomspace(3, 4500, 100).round().astype(int))
    onsets = np.random.default_rng(0).integers(0, 4500, len(lengths))
    for onset in (0, onsets, 9000 - lengths):  # the video's start, anywhere, its end
        found = bounds(*tables(lengths, n_frames, onset=onset), rates=MULTI_RATE)
        assert found["geometric"]["share"] == found["geometric"]["mean_share"] == 1.0
        long_enough = found["ground_truth"] - found["shorter_than_first_stride"]
        unassigned = found["ground_truth"] - found["assignable"]["count"]
        assert long_enough == (lengths >= 8).sum() and unassigned == found["shorter_than_first_stride_unassigned"]
        alone = bounds(*tables(lengths, n_frames, onset=onset))
        assert alone["geometric"]["count"] == (lengths <= 256).sum()
        assert alone["assignable"]["count"] <= (0.9 * lengths < 128).sum()


def test_shorter_than_the_first_stride_only_where_a_prediction_lies():
    """Below 8 frames a gap of the published pyramid, not of the window: windows every 32 frames put its points on the
    same frames each time. Every 30 frames they come to lie on every second one."""
    counts, onsets = {}, np.arange(1000, 1064)
    for stride in (32, 30):
        for length in range(3, 9):
            videos = tables([length] * len(onsets), 2000, onset=onsets)
            found = bounds(*videos, rates=MULTI_RATE, train_stride=stride)
            counts[stride, length] = found["assignable"]["count"]
    assert [counts[32, length] for length in range(3, 9)] == [24, 32, 52, 56, 60, 64]
    assert [counts[30, length] for length in range(3, 9)] == [64] * 6


def test_a_long_event_needs_more_than_a_window_of_its_length():
    """4500 frames: 91 % fit into the 4096 of rate 32, if a training window happens to lie so; rate 64 settles it."""
    late = tables([4500], 9000, onset=1234)
    assert bounds(*late, rates=MULTI_RATE[:-1])["assignable"]["count"] == 0
    with_64 = bounds(*late, rates=MULTI_RATE)
    assert with_64["assignable"]["count"] == 1 and with_64["geometric"]["mean_share"] == 1.0


def test_event_between_all_points_is_not_assignable():
    """The published design's own gap: 6 frames at [61, 67) (see test_targets.py); 4 frames earlier there is a point."""
    assert bounds(*tables([6], 128, onset=61))["assignable"]["count"] == 0
    assert bounds(*tables([6], 128, onset=57))["assignable"]["count"] == 1
    found = bounds(*tables([6, 6], 128, onset=61))
    assert (found["shorter_than_first_stride"], found["shorter_than_first_stride_unassigned"]) == (2, 2)


def test_level_ranges_and_anchors_decide():
    """Without any prediction for lengths above 64, 100 frames are in reach but never trained."""
    model = {"level_ranges": [[0, 10], [8, 32], [16, 40], [40, 41]], "anchor_widths": [0.5]}
    settings = config.validate({"model": model})
    videos, events = tables([20, 100], 300)
    found = ceiling.compute(videos, events, events[:0], settings)
    assert found["geometric"]["count"] == 2 and found["assignable"]["count"] == 1


def test_durations_follow_the_frame_rate_of_the_video():
    """100 frames at 200 fps last half a second: no long event there."""
    found = bounds(*tables([100, 5000], 20000, fps=200.0))
    bins = {part["from_s"]: part["ground_truth"] for part in found["by_duration"]}
    assert bins == {0.0: 0, 0.5: 1, 1: 0, 2: 0, 4: 0, 8: 1}
    assert found["longer_than_window"] == 1 and found["by_duration"][-1]["to_s"] is None
    assert sum(part["assignable"]["count"] for part in found["by_duration"]) == found["assignable"]["count"] == 1


def test_other_events_do_not_count_and_nothing_is_no_error():
    videos, events = tables([20, 40, 60], 300)
    macro, micro = ground_truth(events.assign(expression_type=["macro", "micro", "macro"]), ["macro"])
    assert bounds(videos, macro, micro)["ground_truth"] == 2
    nothing = bounds(videos, events[:0])
    assert nothing["ground_truth"] == 0 and nothing["geometric"]["share"] is None
    assert "0-0.5 s" in ceiling.describe(nothing)


def test_command(tmp_path, capsys):
    """Lengths of videos may be unknown (annotations without frames)."""
    videos, events = tables([20, 300], pd.NA)
    videos.assign(subject="s").to_csv(tmp_path / "videos.csv", index=False)
    events.to_csv(tmp_path / "events.csv", index=False)
    arguments = ["ceiling", *(f"--{name}={tmp_path / name}.csv" for name in ("videos", "events"))]
    assert cli.main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["geometric"] == {"count": 1, "share": 0.5, "mean_share": 0.5}
    assert cli.main([*arguments, "--settings", '{"windows": {"rates": [1, 4]}}']) == 0
    printed = capsys.readouterr().out
    assert "2 of 2 videos: length unknown" in printed
    assert [line.split() for line in printed.splitlines() if "all" in line.split()] == [["all", "2"] + ["100.0"] * 3]
