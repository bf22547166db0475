"""From a script of actions to one number per frame and action unit, head pose and light.

Between planning.py and rendering.py. Expressions rise on a smooth curve, hold, and fall more slowly; the curve
crosses 5 % of its apex exactly half a frame before the onset and half a frame after the offset.
"""

from dataclasses import dataclass

import numpy as np

from .action_units import UNITS
from .planning import EMOTIONS, frame_count, script, subject_ids

VISIBLE = 0.05  # share of its own apex above which an expression counts as begun
_SIDED = {unit[:-1] for unit in UNITS if unit[-1] in "RL"}
_ANIMATION_STREAM = 2
_FALL = 0.6  # share of the time from apex to offset in which the face returns; before, it holds
_RELAXATION = 0.08  # a held expression fades by this share


@dataclass(frozen=True)
class Animation:
    """`units {name: [n_frames]}`; `pose [n_frames, 4]` (u, v shift in interocular distances, roll in rad, log scale);
    `light [n_frames, 3]` (gain, gradient to the right, gradient downwards)."""

    units: dict
    pose: np.ndarray
    light: np.ndarray


def animate(settings, video_id):
    """The whole `Animation` of one video."""
    n_frames, fps = frame_count(settings), settings["fps"]
    index = list(subject_ids(settings)).index(video_id)
    rng = np.random.default_rng([settings["seed"], _ANIMATION_STREAM, index])
    motion = resting(n_frames, fps, rng)
    for action in script(settings, video_id):
        add_action(motion, action, fps)
    return motion


def resting(n_frames, fps, rng):
    """A face at rest: slow drifts of the head and traces of muscle tone."""
    units = {unit: np.zeros(n_frames) for unit in UNITS}
    for unit in ("1R", "1L", "4R", "4L", "7R", "7L", "12R", "12L", "24", "25"):
        units[unit] += 0.04 * _drift(n_frames, fps, rng, 0.25)
    units["yaw"] += 0.035 * _drift(n_frames, fps, rng, 0.15)
    units["pitch"] += 0.03 * _drift(n_frames, fps, rng, 0.2)
    units["gaze_x"] += 0.15 * _drift(n_frames, fps, rng, 0.6)
    sizes = (0.06, 0.05, 0.025, 0.012)
    pose = np.stack([size * _drift(n_frames, fps, rng, 0.12) for size in sizes], axis=-1)
    light = np.stack([0.01 * _drift(n_frames, fps, rng, 0.1) for _ in range(3)], axis=-1)
    light[:, 0] += 1
    return Animation(units, pose, light)


def add_action(motion, action, fps):
    """Add one action of the script to the curves."""
    n_frames = len(motion.pose)
    rng = np.random.default_rng(action.seed)
    if action.kind in EMOTIONS:
        curve = expression_curve(n_frames, action)
        for unit, weight in action.weights.items():
            # No unit leads the labelled curve; some lag behind it.
            add_unit(motion.units, unit, weight * curve ** rng.uniform(1.0, 1.4), action.asymmetry)
    else:
        _DISTRACTORS[action.kind](motion, action, fps, rng)


def expression_curve(n_frames, action):
    """Intensity `[n_frames]` in [0, 1] of a labelled expression: greatest at its apex, above `VISIBLE` exactly from
    onset to offset."""
    # Real-valued start and end, such that the eased ramps cross VISIBLE half a frame outside onset and offset.
    length = action.offset - action.apex
    begins, ends = _inverse_ease(VISIBLE), _inverse_ease(VISIBLE / (1 - _RELAXATION))
    rise = (action.apex - action.onset + 0.5) / (1 - begins)
    fall = (_FALL * length + 0.5) / (1 - ends)
    t = np.arange(n_frames)
    up = _ease((t - action.apex + rise) / rise)
    down = _ease((action.offset + 0.5 + ends * fall - t) / fall)
    hold = 1 - _RELAXATION * np.clip((t - action.apex) / length, 0, 1)
    return up * down * hold


def add_unit(units, unit, amount, asymmetry):
    """Add `amount` (a number, or a curve `[n_frames]`) of an action unit to both sides of `units`."""
    if unit in _SIDED:
        units[f"{unit}R"] += amount * (1 - max(-asymmetry, 0))
        units[f"{unit}L"] += amount * (1 - max(asymmetry, 0))
    else:
        units[unit] += amount


def _bell(n_frames, action, plateau=0.0):
    """Smooth rise and fall over the action's frames, `[n_frames]`."""
    x = (np.arange(n_frames) - action.onset + 1) / (action.offset - action.onset + 2)
    return _ease(np.clip(x, 0, 1) / (0.5 - plateau / 2)) * _ease((1 - np.clip(x, 0, 1)) / (0.5 - plateau / 2))


def _blink(motion, action, fps, rng):
    motion.units["45"][:] = np.maximum(motion.units["45"], _bell(len(motion.pose), action, 0.2))


def _talk(motion, action, fps, rng):
    n_frames = len(motion.pose)
    loudness = action.strength * _bell(n_frames, action, 0.7)
    t = np.arange(n_frames) / fps
    syllables = np.zeros((3, n_frames))
    for row in syllables:
        for rate in rng.uniform(2.0, 5.5, 3):  # syllables a second
            row += np.sin(2 * np.pi * (rate * t + rng.random())) / 2
    opening, rounding, spreading = np.clip(syllables, 0, 1.2) * loudness
    motion.units["26"][:] += 0.50 * opening
    motion.units["25"][:] += 0.6 * opening
    motion.units["18"][:] += 0.7 * rounding
    add_unit(motion.units, "20", 0.6 * spreading, 0.0)
    if rng.random() < 0.4:  # brows that stress a word
        brow = rng.uniform(0.2, 0.5) * loudness * np.clip(np.sin(2 * np.pi * (0.7 * t + rng.random())), 0, 1)
        for unit in ("1", "2"):
            add_unit(motion.units, unit, brow, 0.0)


def _head(motion, action, fps, rng):
    n_frames = len(motion.pose)
    bell, sign = _bell(n_frames, action, 0.2), np.sign(action.asymmetry) or 1.0
    kind = rng.integers(4)
    if kind == 0:  # nod
        t = (np.arange(n_frames) - action.onset) / fps
        nod = action.strength * bell * np.sin(2 * np.pi * rng.uniform(1.0, 2.0) * t)
        motion.units["pitch"][:] += 0.12 * nod
        motion.pose[:, 1] += 0.10 * nod
    elif kind == 1:  # turn
        motion.units["yaw"][:] += 0.17 * sign * action.strength * bell
        motion.pose[:, 0] += 0.15 * sign * action.strength * bell
    elif kind == 2:  # tilt
        motion.pose[:, 2] += 0.16 * sign * action.strength * bell
    else:  # lean forward or back
        motion.pose[:, 3] += 0.10 * sign * action.strength * bell
        motion.pose[:, 1] += 0.08 * action.strength * bell


def _light(motion, action, fps, rng):
    change = _bell(len(motion.pose), action, rng.uniform(0.2, 0.8))[:, None]
    motion.light[:] += change * action.strength * rng.uniform(-0.22, 0.22, 3)


def _glance(motion, action, fps, rng):
    bell, sign = _bell(len(motion.pose), action, 0.6), np.sign(action.asymmetry) or 1.0
    motion.units["gaze_x"][:] += 1.1 * sign * action.strength * bell
    motion.units["gaze_y"][:] += rng.uniform(-0.6, 0.6) * action.strength * bell
    if rng.random() < 0.4:  # the head follows the eyes
        motion.units["yaw"][:] += 0.11 * sign * action.strength * bell


_DISTRACTORS = {"blink": _blink, "talk": _talk, "head": _head, "light": _light, "glance": _glance}


def _drift(n_frames, fps, rng, rate):
    """Slow wandering `[n_frames]` in about [-1, 1] with frequencies around `rate` Hz."""
    t = np.arange(n_frames) / fps
    waves = [np.sin(2 * np.pi * (rate * rng.uniform(0.4, 1.6) * t + rng.random())) for _ in range(3)]
    return np.sum(waves, axis=0) / 2


def _ease(x):
    """Minimum-jerk step: 0 below 0, 1 above 1."""
    x = np.clip(x, 0, 1)
    return x**3 * (10 - 15 * x + 6 * x**2)


def _inverse_ease(value):
    grid = np.linspace(0, 1, 10001)
    return float(np.interp(value, _ease(grid), grid))
