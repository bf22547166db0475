"""Crops of a batch of videos -> mean flow of regions around landmarks, cached per video like the flow (rule `regions`).

The input of the graph peers (AUW-GCN, Yin et al. 2023; Tan et al.; SpotFormer, Deng et al. 2024), whose nodes are 12
iBUG landmarks of brows, nose and mouth. For each step t of the 30 fps axis: the mean flow (u, v) from t to t + gap in a
square around each landmark's place at t, less the mean flow of the nose's ridge, which moves with the head alone.
From the crops, not from the flow cache: that one is averaged to 42 px, half a region's width, and at gap 1 would be
kept for this alone, at 200 times the size; the flow itself costs the same. Differs from their code: all vectors of a
region count, not the 60 % longest of its main direction; DIS instead of TV-L1; values are px of the work picture, and
whoever trains scales them by his training subjects; a place between pixels is interpolated.
"""

import cv2
import numpy as np

from fedn_pipeline.faces import alignment, geometry
from fedn_pipeline.features import cache, flow


def places(table, frames, landmarks, scale):
    """Where `landmarks` [R] lie in the work picture at `frames [n]` of an alignment table: `[n, R, 2]` float64 px.

    `scale`: work px per crop px. NaN without a face.
    """
    points, similarities = alignment.points(table), alignment.similarities(table)
    frames = np.minimum(frames, len(table) - 1)  # beyond: a video cut short, no face
    in_crop = geometry.transform(similarities[frames].T[..., None], points[frames][:, landmarks])
    return (in_crop + 0.5) * scale - 0.5  # pixels' middles


def means(found, at, radius):
    """Mean of `found [side, side, 2]` in squares that reach `radius` px around the places `at [R, 2]`, `[R, 2]`."""
    size = 2 * radius + 1
    smooth = cv2.blur(found, (size, size), borderType=cv2.BORDER_REPLICATE)
    x, y = np.float32(at).T
    return cv2.remap(smooth, x[:, None], y[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]


def video_regions(row, crops_path, alignment_path, gap, settings):
    """`(features [n_steps, R, 2] float16, valid [n_steps])` of one video (`row` of videos.csv), zeros where not valid.

    `settings`: those of `run`, in one dictionary.
    """
    valid, source, flows = flow.between(row, crops_path, alignment_path, gap, settings)
    found = np.zeros((len(valid), len(settings["landmarks"]), 2), dtype=np.float16)
    if valid.any():
        landmarks, side = [*settings["landmarks"], *settings["rigid"]], settings["work_size"]
        at = places(alignment.read(alignment_path), source, landmarks, side / settings["crop_size"])
    for step, field in flows:
        mean = means(field, at[step], round(settings["radius"] * side))
        head = mean[len(settings["landmarks"]) :].mean(axis=0)
        found[step] = mean[: len(settings["landmarks"])] - head
    return found, valid


def run(videos, faces_folder, gap, path, settings):
    """Region flow over `gap` steps of all rows of `videos` into one HDF5 file at `path`, as `flow.run`.

    `settings`: sections flow and regions, and faces.crop_size.
    """
    chosen = {**settings["flow"], **settings["regions"], "crop_size": settings["faces"]["crop_size"]}
    recipe = (
        f"flow of {len(chosen['landmarks'])} regions ({chosen['method']} at {chosen['work_size']} px, gap {gap}, "
        f"radius {chosen['radius']}, landmarks {' '.join(map(str, chosen['landmarks']))} less "
        f"{' '.join(map(str, chosen['rigid']))})"
    )
    flow.write(path, videos, faces_folder, gap, recipe, chosen, video_regions, cache.write_group)
