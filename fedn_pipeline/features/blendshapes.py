"""The backbone `blendshapes`: what MediaPipe's face model says of a crop's expression, and how the head is held.

Needs no training and has seen real faces: its 52 coefficients (Apple's ARKit names: smile, brows down, jaw open, ...)
come with the landmark model that the faces stage uses (MediaPipe Blendshape V2, Grishchenko et al. 2022, arXiv
2309.05782). A row of the cache holds, `[WIDTH]`:

- the coefficients of the crop, 0 to 1, but for the eight that say where the eyes look: gaze is no expression, and a
  turning head moves it most (on head_motion.avi four of them vary twice as much as any other);
- the same less their median over the frames of the video that show a face: a person's resting face is not neutral to
  the model, and people differ. It uses no label and no other video;
- the head's pose, what tells a turning head from a moving face: yaw and pitch (half turns) as they are, then yaw,
  pitch, roll, place of the face in the picture (face widths) and its size (logarithm), each less its median.

Each crop is looked at by itself, so that a frame's coefficients do not depend on the frames before.
"""

from functools import partial

import numpy as np
from tqdm import tqdm

from fedn_pipeline import __version__, intervals
from fedn_pipeline.faces import alignment, crops, gaps, geometry, landmarks
from fedn_pipeline.features import extract

NAME = "blendshapes"  # of the backbone, in `backbone.name` and the cache
ORIGIN = "MediaPipe face blendshapes"
GAZE = slice(11, 19)  # eyeLookDownLeft ... eyeLookUpRight, in the model's order
N_COEFFICIENTS = 52 - 8
N_RAW = N_COEFFICIENTS + 6  # what one crop gives: coefficients and pose
ABSOLUTE = N_COEFFICIENTS + 2  # of these the values themselves are features, too: coefficients, yaw, pitch
WIDTH = ABSOLUTE + N_RAW
SMALLEST = 1e-9  # of a length, before it divides


def _angles(matrix):
    """Yaw, pitch and roll of a head's `matrix [4, 4]` (y up, z to the viewer) in half turns."""
    axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0).clip(SMALLEST)
    yaw, roll = np.arctan2(axes[0, 2], axes[2, 2]), np.arctan2(axes[1, 0], axes[1, 1])
    return np.array([yaw, np.arcsin(np.clip(-axes[1, 2], -1, 1)), roll]) / np.pi


def look(reader, crop, similarity):
    """What one crop `[size, size, 3]` uint8 RGB gives, `[N_RAW]` float64; NaN where the model sees no face in it.

    `reader` is a landmarks.Landmarker with `expressions`; `similarity` (a, b, tx, ty) led to the crop.
    """
    found = reader.expression(crop)
    if found is None:
        return np.full(N_RAW, np.nan)
    coefficients, head = found
    size, source_px = len(crop), float(geometry.source_px(similarity))
    angles = _angles(head)
    angles[2] += np.arctan2(similarity[1], similarity[0]) / np.pi  # the crop is upright, the picture was not
    middle = geometry.transform(geometry.inverse(similarity), np.full(2, size / 2))
    return np.concatenate([np.delete(coefficients, GAZE), angles, middle / (source_px * size), [np.log(source_px)]])


def of_steps(raw, has_face, max_gap):
    """`(features [n_steps, WIDTH] float16, valid [n_steps] bool)` from `raw [n_steps, N_RAW]`, NaN without a face.

    Runs of at most `max_gap` steps in which the model failed on a face (`has_face [n_steps]`) are interpolated.
    """
    seen = np.isfinite(raw[:, 0])
    raw, status = gaps.bridge(raw, seen, max_gap)
    valid = (status != gaps.MISSING) & has_face
    features = np.zeros((len(raw), WIDTH), dtype=np.float16)
    if valid.any():
        relative = raw[valid] - np.median(raw[valid], axis=0)
        features[valid] = np.concatenate([raw[valid, :ABSOLUTE], relative], axis=1)
    return features, valid


def video_features(row, crops_path, alignment_path, reader, settings):
    """`of_steps` of one video (`row` of videos.csv); `settings` is section `faces`."""
    has_face, _ = extract.faces_seen(row, alignment_path)
    source = intervals.source_frames(row.n_frames, row.fps)
    needed = np.zeros(row.n_frames, dtype=bool)
    needed[source] = True
    needed &= has_face
    similarities = alignment.similarities(alignment.read(alignment_path))
    raw = np.full((row.n_frames, N_RAW), np.nan)
    with tqdm(desc=f"blendshapes {row.video_id}", total=int(needed.sum()), unit="frame") as progress:
        for frame, crop in enumerate(crops.read(crops_path)):
            if needed[frame]:
                raw[frame] = look(reader, crop, similarities[frame])
                progress.update()
    return of_steps(raw[source], has_face[source], round(settings["max_gap_s"] * intervals.FEATURE_FPS))


def run(videos, faces_folder, path, settings):
    """As `extract.run`, without weights of one's own; `settings` is section `faces`."""
    of_all = {
        "frame_stride": 1,
        "weights_sha256": landmarks.TASK_SHA256,
        "weights_origin": ORIGIN,
        "input_size": settings["crop_size"],
        "backend": "mediapipe",
        "precision": "fp32",
        "version": __version__,
    }
    with landmarks.Landmarker(1, settings["min_confidence"], video=False, expressions=True) as reader:
        extract.write(path, videos, faces_folder, of_all, partial(video_features, reader=reader, settings=settings))
