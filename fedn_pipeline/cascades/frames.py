"""What CEFLNet sees of a video's steps: the frozen backbone's cached features, or the crops themselves (end to end)."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from fedn_pipeline import intervals
from fedn_pipeline.faces import crops
from fedn_pipeline.features import cache


@dataclass
class Frames:
    """values [rows, width] float32 features, or [rows, 3, side, side] uint8 crops; row: video id -> [n_steps] int64,
    the row of each step (of a step that was not loaded, the nearest loaded one before it)."""

    values: torch.Tensor
    row: dict

    def steps(self, video):
        """Number of steps of a video on the 30 fps axis."""
        return len(self.row[video])


def of_features(features_path, ids, device):
    """All steps of the videos `ids` from the feature cache; a row of a cache of clips serves `frame_stride` steps."""
    values, row, first = [], {}, 0
    for video in ids:
        entry = cache.read(features_path, video)
        values.append(entry.features)
        row[video] = first + np.repeat(np.arange(len(entry.valid)), int(entry.attributes["frame_stride"]))
        first += len(entry.valid)
    return Frames(torch.from_numpy(np.concatenate(values).astype(np.float32)).to(device), row)


def of_crops(faces_folder, samples, videos, margin, side, device):
    """The steps inside `samples`, each widened by `margin` of its length, as crops of `side` px from
    `faces_folder/crops/{video_id}.mp4`. All are held in memory: 3 * side * side bytes per step."""
    pictures, row = [], {}
    fps, n_frames = (videos.set_index("video_id")[name] for name in ("fps", "n_frames"))
    for video in dict.fromkeys(samples.video):
        path = faces_folder / "crops" / f"{video}{crops.CROPS_SUFFIX}"
        source = intervals.source_frames(n_frames[video], fps[video])
        source = source.clip(max=crops.n_frames(path) - 1)  # of a video cut short, its last crop stands for the rest
        wanted = np.zeros(len(source), dtype=bool)
        for start, end in samples.spans[samples.video == video]:
            wide = margin * (end - start)
            wanted[max(0, int(start - wide)) : int(end + wide) + 1] = True
        needed = set(source[wanted].tolist())
        place = {}
        for frame, crop in enumerate(crops.read(path)):
            if frame in needed:
                place[frame] = len(pictures)
                pictures.append(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA).transpose(2, 0, 1))
        known = np.array([place.get(frame, -1) for frame in source])
        row[video] = np.maximum.accumulate(np.maximum(known, min(place.values())))
    return Frames(torch.from_numpy(np.stack(pictures)).to(device), row)
