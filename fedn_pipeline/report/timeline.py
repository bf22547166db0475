"""Pictures of single videos: a timeline of ground truth, detections and confidence, and a contact sheet of crops.

Timeline: apex crops, ground truth of each label set, kept detections (correct ones green, wrong ones red and hatched,
for print without colour), the confidence over time with the fold's threshold; frames without a face are shaded.
"""

from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd

from fedn_pipeline import intervals
from fedn_pipeline.detection.candidates import confidence_and_label
from fedn_pipeline.report.style import subplots
from fedn_pipeline.training import predictions

WIDTH = 12  # inches: that of the page, on which texts then have their size
WORDS_PER_ROW, LINES_PER_ROW = 19, 45  # words of an emotion, and pairs of upright lines, that fit side by side
CORRECT, WRONG, TRUTH, OTHER, NO_FACE, CURVE = "#1b7f3b", "#c43a4b", "#3d6199", "#7a7a7a", "#dddddd", "#222222"
BAR = 0.85  # height of a bar; rows are 1 apart, pictures take two, the curve one


@dataclass(frozen=True)
class Scene:
    """All that a timeline shows of one video; frames on the source's axis.

    `video`: row of videos.csv; `truths`: label set -> events, the evaluated one first; `detections`: kept ones with a
    column `correct`; `curve [n_frames]`: confidence over time; `face [n_frames]` bool; `crops`: frame -> crop.
    """

    video: tuple
    truths: dict
    detections: pd.DataFrame
    curve: np.ndarray
    threshold: float
    face: np.ndarray
    crops: dict


def apexes(events):
    """The frame to show of each event: its apex, or its middle."""
    return events.apex.fillna((events.onset + events.offset) // 2).astype(int)


def highest(spans, confidence, n):
    """`[n]`: at each step the highest confidence of the half-open `spans [k, 2]` that cover it, 0 where none does."""
    curve = np.zeros(n)
    order = np.argsort(confidence, kind="stable")
    bounds = np.clip(np.rint(spans[order]), 0, n).astype(np.int64)
    for (start, end), value in zip(bounds, confidence[order], strict=True):
        curve[start:end] = value  # ascending, so the highest is written last
    return curve


def confidence_curve(fold, video, detections):
    """`[n_frames]` the highest confidence of any prediction at each frame of the video.

    Of the network's raw predictions (`fold/predictions.h5`) before suppression; of a method without them, of all its
    `detections`.
    """
    path = fold / "predictions.h5"
    if not path.is_file():
        spans = intervals.half_open(detections.onset, detections.offset)
        return highest(spans, detections.confidence.to_numpy(), video.n_frames)
    roles, names = predictions.read(path)
    raw = roles["test"][video.video_id]
    confidence, _ = confidence_and_label(raw.logits.reshape(-1, raw.logits.shape[-1]), names)
    spans = (raw.starts[:, None, None] + raw.intervals.astype(np.float64)).reshape(-1, 2)
    return highest(intervals.to_source_axis(spans, raw.fps), confidence, video.n_frames)


def _bar(axis, event, fps, y, row_s, text, **look):
    """A bar from onset to offset with its text: upright where it is too narrow for a word, one line where for two."""
    start, width = event.onset / fps, (event.offset + 1 - event.onset) / fps
    axis.barh(y, width, left=start, height=BAR, **look)
    upright = {"rotation": 90, "fontsize": 6.5} if width < row_s / WORDS_PER_ROW else {"fontsize": 7}
    shown = text.partition("\n")[0] if width < row_s / LINES_PER_ROW else text
    axis.text(start + width / 2, y, shown, ha="center", va="center", clip_on=True, color="w", **upright)


def _thumbnail(axis, image, x_s, y):
    box = matplotlib.offsetbox.OffsetImage(image, zoom=0.16)
    axis.add_artist(matplotlib.offsetbox.AnnotationBbox(box, (x_s, y), frameon=False, pad=0, annotation_clip=True))


def _stretches(flags):
    """Half-open index ranges in which `flags` is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return edges.reshape(-1, 2)


def draw(scene, row_s, iou):
    """Figure of a Scene; `row_s` seconds per row, `iou` from which a detection is correct."""
    video, fps = scene.video, scene.video.fps
    seconds = video.n_frames / fps
    n_rows = max(1, int(np.ceil(seconds / row_s - 1e-9)))
    sets = list(scene.truths)
    heights = {"confidence": 0.5, "detected": 1.55, **{name: 2.55 + i for i, name in enumerate(reversed(sets))}}
    top = 2.05 + len(sets) + 2.1
    figure, axes = subplots(n_rows, 1, figsize=(WIDTH, 0.68 * top * n_rows + 0.6))
    times = np.arange(video.n_frames) / fps
    for number, axis in enumerate(axes[:, 0]):
        axis.set(xlim=(number * row_s, min((number + 1) * row_s, max(seconds, row_s))), ylim=(0, top))
        axis.set_yticks(list(heights.values()), list(heights))
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        for start, end in _stretches(~scene.face):
            axis.axvspan(start / fps, end / fps, color=NO_FACE, zorder=0)
        axis.fill_between(times, 0.9 * scene.curve, step="post", color=CURVE, alpha=0.15, lw=0)
        axis.step(times, 0.9 * scene.curve, where="post", color=CURVE, lw=0.8)
        axis.axhline(0.9 * scene.threshold, color=CURVE, lw=0.8, ls="--")
        for name, events in scene.truths.items():
            for event in events.itertuples():
                colour = TRUTH if name == sets[0] else OTHER
                _bar(axis, event, fps, heights[name], row_s, event.emotion, color=colour)
        for frame in apexes(scene.truths[sets[0]]):
            if axis.get_xlim()[0] <= frame / fps < axis.get_xlim()[1]:
                _thumbnail(axis, scene.crops[frame], frame / fps, top - 1.05)
        for found in scene.detections.itertuples():
            look = {"edgecolor": "white"} if found.correct else {"hatch": "///", "edgecolor": "#e8a0a8"}
            look["facecolor"] = CORRECT if found.correct else WRONG
            text = f"{found.emotion}\n{found.confidence:.2f}"
            _bar(axis, found, fps, heights["detected"], row_s, text, lw=0.8, **look)
    axes[-1, 0].set_xlabel("seconds")
    right = int(scene.detections.correct.sum())
    figure.suptitle(
        f"{video.video_id}: {right} of {len(scene.truths[sets[0]])} expressions found, {len(scene.detections) - right} "
        f"false (green: IoU ≥ {iou:g}; red, hatched: wrong; dashed: threshold)"
    )
    return figure


def contact_sheet(videos, events, crop_of, columns):
    """Figure: per video one neutral crop (its first frame) and the apex crops of its first expressions.

    `crop_of`: video id, frame -> crop.
    """
    figure, axes = subplots(len(videos), columns, figsize=(1.7 * columns, 1.95 * len(videos)))
    for row, video in zip(axes, videos.itertuples(), strict=True):
        mine = events[events.video_id == video.video_id]
        shown = [(0, "first frame"), *zip(apexes(mine), mine.emotion, strict=True)][:columns]
        for axis in row:
            axis.axis("off")
        for axis, (frame, title) in zip(row, shown, strict=False):
            axis.imshow(crop_of(video.video_id, frame))
            axis.set_title(f"{video.video_id}: {title}", fontsize=7)
    return figure
