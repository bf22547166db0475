"""Blinks: the upper lid slides over an eye that stays where it is.

Part of rendering.py. Unlike the other units this is no linear field, since what the lid covers must vanish.
"""

import cv2
import numpy as np

from .portraits import to_px

_LIDS = (  # landmarks of the upper and the lower lid, from the picture's left to its right
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263)),
)
_LID_SKIN = 0.12  # height, in interocular distances, of the skin above the lid that stretches
_LASHES = 0.045  # height of the lid's edge, which moves without stretching
_MARGIN = 0.01  # how far the closed lid reaches below the landmarks of the lower one


class Eyelids:
    """Both eyes of one portrait; `close` changes where each pixel of a frame is taken from."""

    def __init__(self, portrait):
        self._eyes = []
        unit = portrait.unit_px
        for upper, lower in _LIDS:
            top, bottom = (to_px(portrait.points[list(line)], portrait) for line in (upper, lower))
            columns = np.arange(np.ceil(top[0, 0]), np.floor(top[-1, 0]) + 1)
            lid = np.interp(columns, top[:, 0], top[:, 1])
            travel = np.interp(columns, bottom[:, 0], bottom[:, 1]) + _MARGIN * unit - lid
            # The corners of the eye do not move.
            travel *= np.sqrt(np.clip(np.minimum(columns - columns[0], columns[-1] - columns) / (0.12 * unit), 0, 1))
            box = np.array(
                [[columns[0], lid.min() - (_LID_SKIN + _LASHES) * unit], [columns[-1], (lid + travel).max()]]
            )
            self._eyes.append((columns[0], lid.astype(np.float32), travel.astype(np.float32), box))
        self._skin, self._lashes = np.float32(_LID_SKIN * unit), np.float32(_LASHES * unit)

    def close(self, place, amount, matrix):
        """Close both eyes by `amount` in [0, 1], in `place [height, width, 2]` (portrait px of each frame pixel).

        `matrix [2, 3]` takes the portrait at rest to the frame; it says where to look for the eyes.
        """
        height, width = place.shape[:2]
        for first, lid, travel, box in self._eyes:
            corners = np.array([[[x, y] for x in box[:, 0] for y in box[:, 1]]])
            corners = cv2.transform(corners, matrix)[0]
            reach = 0.15 * (corners[:, 0].max() - corners[:, 0].min()) + 0.5 * self._skin  # the units' own motion
            x0, y0 = np.clip(np.floor(corners.min(axis=0) - reach).astype(int), 0, (width, height))
            x1, y1 = np.clip(np.ceil(corners.max(axis=0) + reach).astype(int), 0, (width, height))
            x, y = place[y0:y1, x0:x1].transpose(2, 0, 1)
            column = np.clip(np.rint(x - first).astype(int), 0, len(lid) - 1)
            lowered = np.float32(amount) * travel[column]
            crease = lid[column] - self._lashes - self._skin
            # From the crease down: stretched skin, then the lid's edge as it is. Below it: the eye as it is.
            depth = y - crease
            stretched = depth * self._skin / (self._skin + lowered)
            source = crease + np.where(depth < self._skin + lowered, stretched, depth - lowered)
            covered = (depth > 0) & (depth < self._skin + self._lashes + lowered)
            covered &= (x >= first) & (x <= first + len(lid) - 1)
            y[covered] = source[covered]
