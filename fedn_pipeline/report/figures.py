"""Figures of the results stage: a timeline per video and a contact sheet of crops.

Timeline: ground truth above, kept detections below, correct ones green, wrong ones red (hatched, for print without
colour), an apex crop over each ground truth, frames without a face shaded.
"""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from tqdm import tqdm

from fedn_pipeline.faces import alignment, crops
from fedn_pipeline.files import whole, write_text
from fedn_pipeline.matching import match
from fedn_pipeline.report.results import read_run

matplotlib.use("Agg")
WORDS_PER_ROW = 25  # words of an emotion that fit side by side
CORRECT, WRONG, TRUTH, NO_FACE = "#2a9d4a", "#d1495b", "#4a6fa5", "#dddddd"


def save(figure, path):
    """Write a figure whole, without the time of day in it."""
    with whole(path) as partial:
        figure.savefig(partial, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _thumbnail(axis, image, x_s, y):
    box = matplotlib.offsetbox.OffsetImage(image, zoom=0.2)
    axis.add_artist(matplotlib.offsetbox.AnnotationBbox(box, (x_s, y), frameon=False, pad=0, annotation_clip=True))


def _name(axis, text, start, width, y, row_s):
    """Text in a bar; upright where the bar is too narrow for a word."""
    rotation = 90 if width < row_s / WORDS_PER_ROW else 0
    axis.text(
        start + width / 2, y, text, ha="center", va="center", fontsize=7, clip_on=True, color="w", rotation=rotation
    )


def timeline(video, events, detections, table, crop_of, row_s, iou):
    """Figure of one video (`video`: row of videos.csv).

    `events` and `detections` (kept, with a column `correct`) of this video; `table` its alignment; `crop_of`: frame
    -> crop `[224, 224, 3]`; `row_s` seconds per row; `iou` from which a detection is correct.
    """
    seconds = video.n_frames / video.fps
    n_rows = max(1, int(np.ceil(seconds / row_s - 1e-9)))
    figure, axes = plt.subplots(n_rows, 1, figsize=(16, 3.4 * n_rows + 0.6), squeeze=False, layout="constrained")
    missing = np.flatnonzero((table.status == "missing").to_numpy())
    for number, axis in enumerate(axes[:, 0]):
        axis.set(xlim=(number * row_s, min((number + 1) * row_s, max(seconds, row_s))), ylim=(0, 4.2))
        axis.set_yticks([0.5, 1.5], ["detected", "true"])
        axis.spines[["top", "right", "left"]].set_visible(False)
        for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
            if len(run):
                axis.axvspan(run[0] / video.fps, (run[-1] + 1) / video.fps, color=NO_FACE, zorder=0)
        for event in events.itertuples():
            start, width = event.onset / video.fps, (event.offset + 1 - event.onset) / video.fps
            axis.barh(1.5, width, left=start, height=0.7, color=TRUTH)
            _name(axis, event.emotion, start, width, 1.5, row_s)
            apex = event.apex if pd.notna(event.apex) else (event.onset + event.offset) // 2
            if axis.get_xlim()[0] <= apex / video.fps < axis.get_xlim()[1]:
                _thumbnail(axis, crop_of(int(apex)), apex / video.fps, 3.05)
        for found in detections.itertuples():
            start, width = found.onset / video.fps, (found.offset + 1 - found.onset) / video.fps
            look = {"color": CORRECT} if found.correct else {"color": WRONG, "hatch": "///", "edgecolor": "white"}
            axis.barh(0.5, width, left=start, height=0.7, **look)
            _name(axis, f"{found.emotion}\n{found.confidence:.2f}", start, width, 0.5, row_s)
    axes[-1, 0].set_xlabel("seconds")
    title = f"{video.video_id}: {int(detections.correct.sum())} of {len(events)} expressions found, "
    figure.suptitle(f"{title}{int((~detections.correct).sum())} false (green: IoU ≥ {iou:g}; red, hatched: wrong)")
    return figure


def contact_sheet(videos, events, crop_of, columns):
    """Figure: per video one neutral crop (its first frame) and the apex crops of its first expressions."""
    figure, axes = plt.subplots(
        len(videos), columns, figsize=(1.7 * columns, 1.95 * len(videos)), squeeze=False, layout="constrained"
    )
    for row, video in zip(axes, videos.itertuples(), strict=True):
        mine = events[events.video_id == video.video_id]
        apexes = mine.apex.fillna((mine.onset + mine.offset) // 2).astype(int)
        shown = [(0, "first frame"), *zip(apexes, mine.emotion, strict=True)][:columns]
        for axis in row:
            axis.axis("off")
        for axis, (frame, title) in zip(row, shown, strict=False):
            axis.imshow(crop_of(video.video_id, frame))
            axis.set_title(f"{video.video_id}: {title}", fontsize=7)
    return figure


def run(videos, events, faces_folder, run_folder, out, settings):
    """All figures of one experiment's folds (`run_folder`: its seedN) into `out`; lists them in `out/figures.txt`.

    `settings`: sections report and evaluation.
    """
    kept = read_run(run_folder, videos)[0][0].query("kept").reset_index(drop=True)
    kept["correct"] = match(kept, events, [settings["evaluation"]["iou"]])[0] >= 0
    apexes = events.apex.fillna((events.onset + events.offset) // 2).astype(int)
    written, pictures = [], {}
    for video in tqdm(list(videos.itertuples()), desc="figures", unit="video"):
        mine = events.video_id == video.video_id
        wanted = sorted({0, *apexes[mine]})
        images = crops.read_frames(faces_folder / "crops" / f"{video.video_id}{crops.CROPS_SUFFIX}", wanted)
        pictures[video.video_id] = dict(zip(wanted, images, strict=True))
        table = alignment.read(faces_folder / "alignment" / f"{video.video_id}.csv")
        figure = timeline(
            video, events[mine], kept[kept.video_id == video.video_id], table,
            pictures[video.video_id].__getitem__, settings["report"]["timeline_rows_s"], settings["evaluation"]["iou"],
        )  # fmt: skip
        written.append(f"timelines/{video.video_id}.png")
        save(figure, out / written[-1])
    sheet = contact_sheet(videos, events, lambda v, f: pictures[v][f], settings["report"]["contact_sheet_columns"])
    written.append("contact_sheet.png")
    save(sheet, out / written[-1])
    write_text(out / "figures.txt", "\n".join(written) + "\n")
