"""STR's spotter: every window of a video gets a score, peaks of the smoothed scores become intervals of fixed length.

Follows Liong, See, Chan 2023: windows that overlap an annotation at all are positive, a running mean over two half
expressions, peaks at least one half expression apart, and an interval reaches one half expression to both sides.
Differs: a score stands at its window's middle (their code leaves it at the first frame, which shifts every interval by
half a window), and the threshold is one confidence, chosen on training subjects, instead of a share of each video's
own highest peak.
"""

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks
from torch import nn

from fedn_pipeline import intervals
from fedn_pipeline.cascades import str_windows
from fedn_pipeline.cascades.fit import fit
from fedn_pipeline.cascades.str_network import in_batches
from fedn_pipeline.detection.candidates import COLUMNS, missing_share
from fedn_pipeline.files import InputError


def train(network, flow, windows, held_out, settings, generator, device, label):
    """Train streams and spotter of `network` on Windows; the learning curve's rows. `settings` is section `str`.

    Raises InputError unless there are windows of both labels.
    """
    positive = int(windows.label.sum())
    if not 0 < positive < len(windows.label):
        raise InputError(
            f"{flow.path}: {label}: {positive} of {len(windows.label)} training windows overlap an expression of "
            "events.csv; a spotter learns from windows that do and windows that do not"
        )
    windows, held_out = (str_windows.drawn(part, settings, generator) for part in (windows, held_out))
    pictures = flow.pictures_of(windows.video, windows.start).half()
    wanted = torch.from_numpy(windows.label).to(device)
    held_out_pictures = flow.pictures_of(held_out.video, held_out.start)
    network.streams.scale.copy_(pictures.float().std(dim=(0, 2, 3)).clamp(min=1e-6))
    spotter = nn.Sequential(network.streams, network.spotter)

    def loss_of(chosen):
        score = spotter(pictures[torch.from_numpy(chosen)].float().to(device))[:, 0]
        return (score - wanted[torch.from_numpy(chosen).to(device)]).square().mean()

    def curve():
        errors = _scores(network, held_out_pictures, device) - held_out.label
        return {"held_out_loss": float(np.mean(errors**2)) if len(errors) else np.nan}

    recipe = {**settings, "epochs": settings["spotter_epochs"]}
    return fit(spotter, loss_of, len(windows.label), curve, recipe, generator, label)


def _scores(network, pictures, device):
    """Raw scores `[n]` float32 of flow pictures; the caller has put the network into evaluation mode."""
    return in_batches(nn.Sequential(network.streams, network.spotter), pictures, device)[:, 0].numpy()


def score_over_time(network, flow, video, half, settings, device):
    """Smoothed score `[n_steps]` in [0, 1] of a video; a window's score stands at its middle, 0 where there is none."""
    motion = flow.motion[video]
    start = np.flatnonzero(motion.valid)
    score = np.zeros(len(motion.valid))
    score[start + flow.gap // 2] = _scores(network, flow.pictures(video, start), device).clip(0, 1)
    return uniform_filter1d(score, max(1, round(settings["smoothing"] * half)), mode="constant")


def detect(network, flow, videos, half, settings, device):
    """Detections `video_id, onset, offset, confidence, emotion` (empty) of `videos`; `half` expression in steps.

    `settings`: sections str and detections. The smoothed score of a peak is its confidence.
    """
    network.eval()
    reach, tables = round(settings["str"]["reach"] * half), [pd.DataFrame(columns=COLUMNS)]
    for video in videos.itertuples():
        score = score_over_time(network, flow, video.video_id, half, settings["str"], device)
        floor = settings["detections"]["confidence_floor"]
        peaks, _ = find_peaks(score, height=floor, distance=max(1, round(settings["str"]["peak_distance"] * half)))
        spans = np.stack([peaks - reach, peaks + reach + 1], axis=-1).clip(0, len(score)).astype(np.float64)
        valid = flow.motion[video.video_id].valid
        has_face = valid | np.roll(valid, flow.gap)  # a step shows a face if a window starts or ends there
        keep = missing_share(spans, has_face) <= settings["detections"]["max_missing_share"]
        onset, offset = intervals.inclusive(intervals.to_source_axis(spans[keep], video.fps))
        onset = onset.clip(0, video.n_frames - 1)
        tables.append(pd.DataFrame({
            "video_id": video.video_id, "onset": onset, "offset": offset.clip(onset, video.n_frames - 1),
            "confidence": score[peaks][keep], "emotion": "",
        }))  # fmt: skip
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
