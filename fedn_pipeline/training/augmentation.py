"""Features as another person's, before another camera: factors, offsets of each training video, and noise, drawn anew.

People differ in how far their faces move and in what is neutral to them, and few subjects show few of the ways. Used by
the training loop where one of SPREADS is above 0; labels stay true, for time is untouched.
"""

import numpy as np
import torch

SPREADS = ("feature_scale", "feature_offset", "feature_noise")  # of section `training`


def varied(features, rows, first, training, generator):
    """`(features [n, D] float32, rows [B, R])`: what `rows` read of `features [all rows, D]`, varied, and its places.

    `first [V]` int64: the first row of each video. A value of a video has one factor and one offset, and each row noise
    of its own. `training` is the section of the configuration, `generator` NumPy's.
    """
    read, place = torch.unique(rows, return_inverse=True)
    present, video = torch.unique(torch.searchsorted(first, read, right=True) - 1, return_inverse=True)
    shape = len(present), features.shape[1]
    factor = np.exp(generator.normal(0, training["feature_scale"], shape)).astype(np.float32)
    offset = generator.normal(0, training["feature_offset"], shape).astype(np.float32)
    noise = generator.normal(0, training["feature_noise"], (len(read), shape[1])).astype(np.float32)
    factor, offset, noise = (torch.from_numpy(drawn).to(features.device) for drawn in (factor, offset, noise))
    return features[read].float() * factor[video] + offset[video] + noise, place
