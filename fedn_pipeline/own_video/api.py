"""`fedn_pipeline.detect` and `fedn_pipeline.timeline`, for notebooks and scripts."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from fedn_pipeline.files import InputError, read_json
from fedn_pipeline.own_video.layout import CSV, GONE_ON, JSON, SUMMARY
from fedn_pipeline.viewer.page import colours

VIDEOS = "videos"  # key of DataFrame.attrs: {video id: content of its detections.json}
LANE, WIDTH = 0.35, 11  # inches: height of an emotion's lane, width of the figure
FAINT = 0.25  # opacity of what is not kept
TOLD = ("WARNING", "fedn-pipeline")  # lines of standard error that are not progress


def detect(path, model=None, out=None, person="largest", threshold=None, progress=True):
    """Find the expressions in a video file, or in all below a folder, with a ready model.

    model: folder of a bundle (default: what `make demo` leaves). out: folder for the tables and pages of the command
    `fedn-pipeline detect`, which this runs (default: nothing is left). person: largest, left, right, or a number.
    threshold: confidence from which `kept` is True (default: the bundle's). progress: show the command's own words.

    Returns a DataFrame, a row for each candidate: `video_id, onset, offset` (frames from 0, offset included),
    `onset_s, offset_s` (seconds; the latter when the offset frame ends), `apex, confidence, emotion, kept,
    score_EMOTION...`. Raises InputError where the command fails; videos of a folder that cannot be read are named.

    It runs in a process of its own: the network is taken from MediaPipe, and a notebook needs its own.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(out or scratch)
        command = [sys.executable, "-m", "fedn_pipeline.cli", "detect", str(path), "--out", str(folder)]
        command += ["--person", str(person)]
        command += ["--model", str(model)] if model is not None else []
        command += ["--threshold", str(threshold)] if threshold is not None else []
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in (0, GONE_ON):
            raise InputError(done.stderr.strip().rpartition("\n")[2])
        if progress or done.returncode:
            print(done.stdout, end="")
            print(*(line for line in done.stderr.splitlines() if line.startswith(TOLD)), sep="\n", file=sys.stderr)
        table = pd.read_csv(folder / CSV, dtype={"video_id": str}).astype({"kept": bool})
        videos = read_json(folder / SUMMARY)["videos"]
        table.attrs[VIDEOS] = {video: read_json(folder / video / JSON) for video in videos}
        return table


def timeline(table, video_id=None):
    """Figure of one video's detections over time: a lane per emotion, kept ones solid, others faint, with confidence.

    table: DataFrame of `detect`; video_id: which of its videos (default: the only one). The confidence curve and the
    frames without a face are drawn as long as the table has its attributes (`table.attrs`). Raises InputError if it is
    not clear which video is meant. Returns a matplotlib Figure.
    """
    ids = sorted(set(table.video_id) | set(table.attrs.get(VIDEOS, {})))
    if video_id is None and len(ids) != 1:
        raise InputError(f"timeline: which video? video_id is one of {ids}")
    if video_id is not None and video_id not in ids:
        raise InputError(f"timeline: no video {video_id!r}; there are {ids}")
    video_id = video_id or ids[0]
    mine, content = table[table.video_id == video_id], table.attrs.get(VIDEOS, {}).get(video_id)
    emotions = sorted(set(mine.emotion) | set(content["classes"] if content else ()), reverse=True)
    colour = colours(sorted(emotions))
    shape = {"figsize": (WIDTH, 1.6 + LANE * len(emotions)), "height_ratios": (3, 1)}
    figure, (lanes, curve) = plt.subplots(2, 1, sharex=True, layout="constrained", **shape)
    for one in mine.itertuples():
        place = {"y": emotions.index(one.emotion), "left": one.onset_s, "width": one.offset_s - one.onset_s}
        lanes.barh(**place, height=0.8, color=colour[one.emotion], alpha=1 if one.kept else FAINT)
    lanes.set_yticks(range(len(emotions)), emotions)
    lanes.set_title(f"{video_id}: {int(mine.kept.sum())} expressions")
    if content:
        heights = content["curve"]["confidence"]
        times_s = np.arange(len(heights)) * content["curve"]["every_s"]
        curve.fill_between(times_s, heights, step="post", color="#444444", alpha=0.4, lw=0)
        curve.axhline(content["threshold"], color="#444444", ls="--", lw=0.8)
        edges_s = content["times_s"] or np.arange(content["video"]["n_frames"] + 1) / content["video"]["fps"]
        for first, last in content["missing"]:
            for axis in (lanes, curve):
                axis.axvspan(edges_s[first], edges_s[min(last + 1, len(edges_s) - 1)], color="#dddddd", zorder=0)
        lanes.set_xlim(0, content["video"]["duration_s"])
    curve.set(ylim=(0, 1), ylabel="confidence", xlabel="seconds")
    plt.close(figure)  # a notebook would show it twice
    return figure
