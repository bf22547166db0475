"""Features as another person's, before another camera: factors, offsets of each training video, and noise, drawn anew.

People differ in how far their faces move and in what is neutral to them, and few subjects show few of the ways. A head
that turns changes what the face model reads from it, in each person in another way: `head_motion` turns heads while
nothing is labelled (features of blendshapes.py only). Used by the training loop where one of SPREADS is above 0; labels
stay true, for time is untouched.
"""

import numpy as np
import torch

from fedn_pipeline.features import blendshapes
from fedn_pipeline.files import InputError

SPREADS = ("feature_scale", "feature_offset", "feature_noise", "head_motion")  # of section `training`
KNOT_ROWS = 30  # a second from one place of the head to the next
# Standard deviations of a head's motion: yaw, pitch, roll (half turns), place (face widths), size (logarithm).
MOTION = np.array([0.06, 0.05, 0.02, 0.2, 0.2, 0.05], dtype=np.float32)
MOVED_SHARE, TOUCHED_SHARE = 0.5, 0.4  # of the time a head moves; of the coefficients one kind of motion touches


def varied(features, rows, first, training, generator):
    """`(features [n, D] float32, rows [B, R])`: what `rows` read of `features [all rows, D]`, varied, and its places.

    `first [V]` int64: the first row of each video. A value of a video has one factor and one offset, and each row noise
    of its own. `training` is the section of the configuration, `generator` NumPy's. Raises InputError for `head_motion`
    of features that are not those of blendshapes.py.
    """
    read, place = torch.unique(rows, return_inverse=True)
    numbers = torch.searchsorted(first, read, right=True) - 1
    present, video = torch.unique(numbers, return_inverse=True)
    shape = len(present), features.shape[1]
    factor = np.exp(generator.normal(0, training["feature_scale"], shape)).astype(np.float32)
    offset = generator.normal(0, training["feature_offset"], shape).astype(np.float32)
    noise = generator.normal(0, training["feature_noise"], (len(read), shape[1])).astype(np.float32)
    if training["head_motion"]:
        if shape[1] != blendshapes.WIDTH:
            raise InputError("training.head_motion: only for the features of backbone.name blendshapes")
        within = (read - first[numbers]).cpu().numpy()
        noise += head_motion(within, video.cpu().numpy(), training["head_motion"], generator)
    factor, offset, noise = (torch.from_numpy(drawn).to(features.device) for drawn in (factor, offset, noise))
    return features[read].float() * factor[video] + offset[video] + noise, place


def head_motion(within, video, leak, generator):
    """What moving heads add to features, `[n, blendshapes.WIDTH]` float32: to the pose and to what is read with it.

    `within [n]`: rows from their video's beginning, `video [n]` their videos' numbers from 0. `leak`: how far a usual
    motion of one kind moves a coefficient that it touches (standard deviation).
    """
    n_videos, n_kinds, n_coefficients = video.max() + 1, len(MOTION), blendshapes.N_COEFFICIENTS
    knot, share = np.divmod(within, KNOT_ROWS)
    share = ((1 - np.cos(np.pi * share / KNOT_ROWS)) / 2)[:, None]
    keys, at = np.unique([video * (knot.max() + 2) + knot, video * (knot.max() + 2) + knot + 1], return_inverse=True)
    places = generator.normal(size=(len(keys), n_kinds)) * (generator.random((len(keys), 1)) < MOVED_SHARE)
    before, after = places[at.reshape(2, -1)]
    reach = MOTION * generator.uniform(0, 2, (n_videos, n_kinds))
    pose = (before * (1 - share) + after * share) * reach[video]
    size = n_videos, n_kinds, n_coefficients
    touches = generator.normal(0, leak, size) * (generator.random(size) < TOUCHED_SHARE) / MOTION[:, None]
    read = np.einsum("nk,nkc->nc", pose, touches[video])
    return np.concatenate([read, pose[:, :2], read, pose], axis=1).astype(np.float32)
