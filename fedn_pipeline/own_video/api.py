"""`fedn_pipeline.detect` and `fedn_pipeline.timeline`, for notebooks and scripts."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from fedn_pipeline import config
from fedn_pipeline.bundle.layout import DESCRIPTION
from fedn_pipeline.files import InputError, read_json
from fedn_pipeline.own_video.layout import CSV, GONE_ON, JSON, SUMMARY
from fedn_pipeline.viewer.page import colours

PROJECT = Path(__file__).resolve().parents[2]  # where the package lies, if it is installed from its project's folder
VIDEOS = "videos"  # key of DataFrame.attrs: Seen
DRAWN = ("classes", "threshold", "curve", "missing_s")  # what the figure needs of detections.json
LANE, WIDTH = 0.35, 11  # inches: height of an emotion's lane, width of the figure
FAINT = 0.25  # opacity of what is not kept
BAR = "frame/s"  # in a line of progress, which the next one replaces


class Seen(dict):
    """`{video id: what of its detections.json is drawn}`; pandas copies attributes at every step, which this is not."""

    def __deepcopy__(self, memo):
        return self


def detect(path, model=None, out=None, person="largest", threshold=None, progress=True):
    """Find the expressions in a video file, or in all below a folder, with a ready model.

    model: folder of a bundle (default: what `make demo` leaves, here or where the package lies). out: folder for the
    tables and pages of the command `fedn-pipeline detect`, which this runs (default: nothing is left). person: largest,
    left, right, or a number. threshold: confidence from which `kept` is True (default: the bundle's). progress: show
    what the command says, while it says it.

    Returns a DataFrame, a row for each candidate: `video_id, onset, offset` (frames from 0, offset included),
    `onset_s, offset_s` (seconds; the latter when the offset frame ends), `apex, confidence, emotion, kept,
    score_EMOTION...`. Raises InputError where the command fails; videos of a folder that cannot be used are named.

    It runs in a process of its own: the network is taken from MediaPipe, and a notebook needs its own.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(out or scratch)
        (folder / SUMMARY).unlink(missing_ok=True)  # of an earlier call: this one's says that it came to its end
        command = [sys.executable, "-m", "fedn_pipeline.cli", "detect", str(path), "--out", str(folder)]
        command += ["--person", str(person)]
        model = model or _default_model()
        command += ["--model", str(model)] if model is not None else []
        command += ["--threshold", str(threshold)] if threshold is not None else []
        status, said = _run(command, progress, None if out else folder)
        if status not in (0, GONE_ON) or not (folder / SUMMARY).is_file():
            raise InputError(said[-1] if said else f"fedn-pipeline detect ended with status {status}")
        summary = read_json(folder / SUMMARY)
        if summary["failed"] and Path(path).is_file():
            raise InputError(*summary["failed"].values())
        if status and not progress:
            print(*summary["failed"].values(), sep="\n", file=sys.stderr)
        # Names and emotions are words, be they empty or `NA`; no number is ever missing.
        table = pd.read_csv(folder / CSV, dtype={"video_id": str, "emotion": str}, keep_default_na=False)
        documents = {video: read_json(folder / video / JSON) for video in summary["videos"]}
        table.attrs[VIDEOS] = Seen({
            video: {key: content[key] for key in DRAWN} | {"duration_s": content["video"]["duration_s"]}
            for video, content in documents.items()
        })  # fmt: skip
        return table.astype({"kept": bool})


def _run(command, progress, hidden):
    """Run a command: `(exit status, what it said)`, lines without progress; `progress` passes all on as it is said.

    A place in the folder `hidden` is not shown: it will not be there any more.
    """
    said = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace"
    ) as process:
        for line in process.stdout:
            line = line.rstrip().partition(f": {hidden}")[0] if hidden else line.rstrip()
            if line and BAR not in line:
                said.append(line)
            if line and progress:
                print(line, end="\r" if BAR in line else "\n", flush=True)
    return process.returncode, said


def _default_model():
    """The default bundle beside the package, where the working folder has none; None: the command says what to do."""
    model = Path(config.validate({})["detect"]["model"])
    there = not (model / DESCRIPTION).is_file() and (PROJECT / model / DESCRIPTION).is_file()
    return PROJECT / model if there else None


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
    mine, seen = table[table.video_id == video_id], table.attrs.get(VIDEOS, {}).get(video_id)
    emotions = sorted(set(mine.emotion) | set(seen["classes"] if seen else ()), reverse=True)
    colour = colours(sorted(emotions))
    shape = {"figsize": (WIDTH, 1.6 + LANE * len(emotions)), "height_ratios": (3, 1)}
    figure, (lanes, curve) = plt.subplots(2, 1, sharex=True, layout="constrained", **shape)
    for one in mine.itertuples():
        place = {"y": emotions.index(one.emotion), "left": one.onset_s, "width": one.offset_s - one.onset_s}
        shade = {"color": colour[one.emotion], "alpha": 1 if one.kept else FAINT}
        lanes.barh(**place, **shade, height=0.8, edgecolor="white", lw=0.8)
    lanes.set_yticks(range(len(emotions)), [emotion or "expression" for emotion in emotions])
    lanes.set_title(f"{video_id}: {int(mine.kept.sum())} expressions")
    if seen:
        heights = seen["curve"]["confidence"]
        times_s = np.arange(len(heights)) * seen["curve"]["every_s"]
        curve.fill_between(times_s, heights, step="post", color="#444444", alpha=0.4, lw=0)
        curve.axhline(seen["threshold"], color="#444444", ls="--", lw=0.8)
        for span_s in seen["missing_s"]:
            for axis in (lanes, curve):
                axis.axvspan(*span_s, color="#dddddd", zorder=0)
        lanes.set_xlim(0, seen["duration_s"])
    curve.set(ylim=(0, 1), ylabel="confidence", xlabel="seconds")
    plt.close(figure)  # a notebook would show it twice
    return figure
