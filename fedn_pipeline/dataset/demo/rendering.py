"""From a portrait and its animation to a video: one backward warp per frame, light, noise, H.264.

Last step of the demo data set. A frame costs one small sum of displacement fields, one remap of luminance and one of
chrominance (all work is done in YUV 4:2:0, which is what H.264 stores), one gain and one addition of noise.
"""

import functools

import av
import cv2
import numpy as np

from fedn_pipeline.faces.crops import REPEATABLE
from fedn_pipeline.files import whole

from .action_units import BLINK, displacements, folds
from .animation import animate
from .eyelids import Eyelids
from .planning import frame_count, subject_ids
from .portraits import LOWER_INNER_LIP, UPPER_INNER_LIP, make_portrait, to_px

_STEP_PX = 3  # grid of the displacement fields, in px of a 480-line picture
_PORTRAIT_STREAM, _NOISE_STREAM = 3, 4
_INVISIBLE = 1e-3  # intensity of a unit that is left out
_NOISE_TILES, _NOISE_MARGIN_PX = 6, 64
_CAVITY_YUV = np.array([38, 122, 142])  # inside of a mouth
_TEETH_YUV = np.array([200, 122, 131])  # before a fair face; darker with the face


def render_video(settings, video_id, path):
    """Write one subject's video as H.264 in `path`; the same settings give the same bytes."""
    index = list(subject_ids(settings)).index(video_id)
    photograph = subject_ids(settings)[video_id]
    rng = np.random.default_rng([settings["seed"], _PORTRAIT_STREAM, index])
    renderer = Renderer(settings, make_portrait(settings, photograph, rng))
    motion = animate(settings, video_id)
    noise = np.random.default_rng([settings["seed"], _NOISE_STREAM, index])
    with whole(path) as partial, av.open(str(partial), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=settings["fps"])
        stream.width, stream.height, stream.pix_fmt = settings["width"], settings["height"], "yuv420p"
        stream.thread_count = 1  # more threads, other bytes
        stream.options = {"preset": settings["preset"], "crf": str(settings["crf"]), "x264-params": REPEATABLE}
        for i in range(frame_count(settings)):
            units = {unit: curve[i] for unit, curve in motion.units.items()}
            picture = renderer.frame(units, motion.pose[i], motion.light[i], noise)
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class Renderer:
    """One person before one camera; `frame` renders any state of the face."""

    def __init__(self, settings, portrait):
        self.width, self.height = settings["width"], settings["height"]
        self.portrait = portrait
        yuv = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2YUV_I420)
        self._luma = np.ascontiguousarray(yuv[: self.height])
        half = (self.height // 2, self.width // 2)
        chroma = yuv[self.height :].reshape(2, *half)
        self._chroma = np.ascontiguousarray(chroma.transpose(1, 2, 0))

        step = _STEP_PX * self.height / 480
        self._grid_size = (round(self.width / step), round(self.height / step))
        self._scale = np.array([self.width / self._grid_size[0], self.height / self._grid_size[1]])
        columns, rows = np.meshgrid(np.arange(self._grid_size[0]), np.arange(self._grid_size[1]))
        self._grid = ((np.stack([columns, rows], axis=-1) + 0.5) * self._scale - 0.5).astype(np.float32)
        where = (self._grid - np.float32(portrait.eyes)) / np.float32(portrait.unit_px)
        self._across, self._down = (np.ascontiguousarray(np.tanh(where[..., i] / 3)) for i in (0, 1))

        # The fields are kept for the box around the face; outside it nothing moves.
        inside = (np.abs(where[..., 0]) < 1.7) & (where[..., 1] > -1.5) & (where[..., 1] < 2.9)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        self._box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        box = where[self._box]
        points = portrait.points.astype(np.float32)
        fields = displacements(points, box)
        self._fields = {u: np.ascontiguousarray(f * portrait.unit_px, np.float32) for u, f in fields.items()}
        self._folds = {u: np.ascontiguousarray(f, np.float32) for u, f in folds(points, box).items()}
        # How far a place follows the head: 1 on the face, 0 at the edges of the picture.
        far = np.hypot(where[..., 0] / 2.6, (where[..., 1] - 0.4) / np.where(where[..., 1] < 0.4, 2.3, 2.9))
        self._follows = (1 / (1 + np.exp((far - 0.75) / 0.09))).astype(np.float32)[..., None]

        # Where the units move the inner lips, each lip with its own half of the face.
        self._lips = np.concatenate([portrait.points[list(UPPER_INNER_LIP)], portrait.points[list(LOWER_INNER_LIP)]])
        lower = np.repeat([0.0, 1.0], [len(UPPER_INNER_LIP), len(LOWER_INNER_LIP)])
        self._lip_moves = displacements(portrait.points, self._lips, lower)
        self._eyelids = Eyelids(portrait)
        tiles = _noise_tiles(self.height, self.width)
        self._noise = np.rint(tiles * settings["noise"] * portrait.noise).astype(np.int8)

    def frame(self, units, pose, light, rng):
        """One frame as planar YUV 4:2:0 `[height * 3 / 2, width] uint8`.

        `units {name: intensity}` (all of action_units.UNITS), `pose [4]`, `light [3]` as in `Animation`.
        """
        active = {u: value for u, value in units.items() if abs(value) > _INVISIBLE and u != BLINK}
        field = np.zeros_like(self._fields["26"])
        shade = np.zeros(field.shape[:2], np.float32)
        for unit, value in active.items():
            cv2.scaleAdd(self._fields[unit], float(value), field, field)
            if unit in self._folds and value > 0:
                cv2.scaleAdd(self._folds[unit], float(value), shade, shade)

        matrix = head_matrix(self.portrait, units, pose)
        back = cv2.invertAffineTransform(matrix)
        place = cv2.transform(self._grid, back) - self._grid
        place *= self._follows
        place += self._grid
        offset = np.float32([self._box[1].start, self._box[0].start])
        at = (place + np.float32(0.5)) / np.float32(self._scale) - np.float32(0.5) - offset
        place -= cv2.remap(field, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        shade = cv2.remap(shade, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)

        size, half = (self.width, self.height), (self.width // 2, self.height // 2)
        place_full = cv2.resize(place, size)
        if units[BLINK] > _INVISIBLE:
            self._eyelids.close(place_full, min(units[BLINK], 1.0), matrix)
            place = place_full
        luma = cv2.remap(self._luma, place_full, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        halved = (cv2.resize(place, half) - np.float32(0.5)) / 2
        chroma = cv2.remap(self._chroma, halved, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self._paint_mouth(luma, chroma, active, matrix)

        gain = cv2.addWeighted(self._across, float(light[1]), self._down, float(light[2]), float(light[0]))
        gain *= 1 - shade
        luma = cv2.multiply(luma, cv2.resize(gain, size), dtype=cv2.CV_8U)
        tile = self._noise[rng.integers(_NOISE_TILES)]
        top, left = rng.integers(_NOISE_MARGIN_PX + 1, size=2)
        noise = tile[top : top + self.height, left : left + self.width]
        luma = cv2.add(luma, noise, dtype=cv2.CV_8U)
        planes = chroma.transpose(2, 0, 1).reshape(-1, self.width)
        return np.concatenate([luma, planes])

    def _paint_mouth(self, luma, chroma, active, matrix):
        """Fill what lies between the parted lips: darkness, and a row of upper teeth."""
        n = len(UPPER_INNER_LIP)
        moved = self._lips + sum(value * self._lip_moves[unit] for unit, value in active.items())
        rest, now = (np.clip(lips[n:, 1] - lips[:n, 1], 0, None).max() for lips in (self._lips, moved))
        opening = now - rest
        if opening <= 0:
            return
        lips = cv2.transform(to_px(moved, self.portrait)[None], matrix)[0]
        x0, y0 = np.maximum(np.floor(lips.min(axis=0) / 2).astype(int) * 2 - 6, 0)
        x1, y1 = np.minimum(np.ceil(lips.max(axis=0) / 2).astype(int) * 2 + 6, (self.width, self.height))
        upper, lower = lips[:n], lips[n:]
        teeth = upper + np.clip(0.5 * (lower - upper), 0, 0.09 * self.portrait.unit_px)
        origin, shape = (x0, y0), (y1 - y0, x1 - x0)
        cavity = min(1.0, opening / 0.06) * _soft_polygon(np.concatenate([upper, lower[::-1]]) - origin, shape)
        bright = 0.85 * cavity * _soft_polygon(np.concatenate([upper, teeth[::-1]]) - origin, shape)
        teeth_yuv = _TEETH_YUV * [min(1.0, luma[y0:y1, x0:x1].mean() / 115), 1, 1]
        for plane, step, colour in ((luma[..., None], 1, slice(0, 1)), (chroma, 2, slice(1, 3))):
            weights = [
                cv2.resize(m, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA) for m in (cavity, bright)
            ]
            inside, light = (weight[..., None] for weight in weights)
            area = plane[y0 // step : y1 // step, x0 // step : x1 // step]
            area[:] = np.rint(area * (1 - inside) + _CAVITY_YUV[colour] * (inside - light) + teeth_yuv[colour] * light)


def head_matrix(portrait, units, pose):
    """Rest -> frame `[2, 3]` of the head in px: shift, roll, scale, and the foreshortening of a turned head."""
    shift_u, shift_v, roll, log_scale = pose
    pivot = np.array(portrait.eyes) + np.array([0, 1.2 * portrait.unit_px])  # a head turns about its neck
    cosine, sine = np.cos(roll), np.sin(roll)
    narrow = [np.cos(2.2 * units["yaw"]), np.cos(2.2 * units["pitch"])]
    linear = np.exp(log_scale) * np.array([[cosine, -sine], [sine, cosine]]) * narrow
    shift = pivot + portrait.unit_px * np.array([shift_u, shift_v]) - linear @ pivot
    return np.column_stack([linear, shift])


@functools.cache
def _noise_tiles(height, width):
    shape = (_NOISE_TILES, height + _NOISE_MARGIN_PX, width + _NOISE_MARGIN_PX)
    return np.random.default_rng(_NOISE_STREAM).standard_normal(shape, dtype=np.float32)


def _soft_polygon(corners, shape):
    """Mask `shape float32` in [0, 1] of a polygon in px, with soft edges."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(corners * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 1.2)
