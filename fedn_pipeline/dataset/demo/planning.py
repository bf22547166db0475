"""What happens in each demo video and when: the labels, and the unlabelled distractors beside them.

First step of the demo data set: nothing is rendered here, everything follows from the settings. `plan` gives the
two canonical tables; `script` gives one video's actions, which animation.py turns into curves.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fedn_pipeline.files import InputError

PHOTOGRAPHS = ("astronaut", "hopper")
EMOTIONS = ("happiness", "surprise", "anger", "disgust")
# Action units of each emotion (FACS; Ekman & Friesen 1978): unit -> (least, greatest) weight at the apex.
RECIPES = {
    "happiness": {"6": (0.5, 1.0), "12": (0.8, 1.0), "25": (0.0, 0.7)},
    "surprise": {"1": (0.7, 1.0), "2": (0.7, 1.0), "5": (0.5, 1.0), "26": (0.4, 1.0)},
    "anger": {"4": (0.8, 1.0), "5": (0.0, 0.4), "7": (0.5, 1.0), "23": (0.6, 1.0), "24": (0.4, 1.0)},
    "disgust": {"9": (0.7, 1.0), "10": (0.6, 1.0), "17": (0.2, 0.8), "15": (0.0, 0.5)},
}
DISTRACTORS = {"blink": 0.4, "talk": 0.14, "head": 0.2, "light": 0.11, "glance": 0.15}  # shares of all
DISTRACTOR_DURATION_S = {
    "blink": (0.2, 0.4),
    "talk": (1.0, 3.0),
    "head": (0.8, 3.0),
    "light": (0.5, 4.0),
    "glance": (0.5, 1.6),
}
_SCRIPT_STREAM = 1  # random streams: one number per purpose, so that no purpose disturbs another


@dataclass(frozen=True)
class Action:
    """One movement on the frame axis `[onset, offset]` (inclusive); `apex` is None for a distractor.

    `weights`: action unit -> weight at the apex, strength included. `asymmetry` in [-1, 1]: the share by which
    the left (positive) or right side stays behind. `seed` feeds what the curve itself draws.
    """

    kind: str
    onset: int
    apex: int | None
    offset: int
    strength: float
    weights: dict
    asymmetry: float
    seed: int


def plan(settings):
    """Canonical tables `(videos, events)` of the demo; raises InputError if the expressions do not fit."""
    subjects = subject_ids(settings)
    n_frames = frame_count(settings)
    videos = pd.DataFrame(
        {
            "video_id": list(subjects),
            "subject": list(subjects),
            "source": [f"raw/{name}.mp4" for name in subjects],
            "kind": "video",
            "n_frames": n_frames,
            "fps": settings["fps"],
            "width": settings["width"],
            "height": settings["height"],
            "photograph": list(subjects.values()),
        }
    )
    rows = [
        (name, action.onset, action.apex, action.offset, "macro", action.kind, "annotated", "rendered")
        for name in subjects
        for action in script(settings, name)
        if action.kind in EMOTIONS
    ]
    columns = ["video_id", "onset", "apex", "offset", "expression_type", "emotion", "label_set", "provenance"]
    return videos, pd.DataFrame(rows, columns=columns)


def subject_ids(settings):
    """`{subject: photograph}` in order: all subjects of the first photograph, then those of the second."""
    each = settings["subjects_per_photograph"]
    return {f"s{i + 1:02d}": PHOTOGRAPHS[i // each] for i in range(each * len(PHOTOGRAPHS))}


def frame_count(settings):
    """Frames of every video."""
    return max(1, round(settings["seconds"] * settings["fps"]))


def script(settings, video_id):
    """All actions of one video, labelled and not, in order of onset; depends on no other video."""
    subjects = list(subject_ids(settings))
    if video_id not in subjects:
        raise InputError(f"demo: no video {video_id}: the settings give {subjects[0]} to {subjects[-1]}")
    index = subjects.index(video_id)
    rng = np.random.default_rng([settings["seed"], _SCRIPT_STREAM, index])
    expressions = _expressions(settings, index, rng)
    return sorted(expressions + _distractors(settings, expressions, rng), key=lambda a: (a.onset, a.kind))


def _expressions(settings, index, rng):
    n = max(1, round(settings["expressions_per_minute"] * settings["seconds"] / 60))
    lengths, gaps = _lengths_and_gaps(settings, n, rng)
    # Every emotion n // 4 times; the rest goes round the subjects, so that the data set is balanced as a whole.
    emotions = [EMOTIONS[(index * (n % len(EMOTIONS)) + i) % len(EMOTIONS)] for i in range(n)]
    actions, end = [], 0
    for emotion, length, gap in zip(rng.permutation(emotions), lengths, gaps, strict=True):
        onset = end + gap
        end = onset + length
        strength = rng.uniform(*settings["strength"])
        weights = {unit: strength * rng.uniform(*bounds) for unit, bounds in RECIPES[str(emotion)].items()}
        rise = rng.uniform(0.2, 0.4)  # share of the interval; the fall takes longer than the rise
        apex = onset + min(max(int(rise * length), 1), length - 2)
        asymmetry = float(np.clip(rng.normal(0, 0.12), -0.35, 0.35))
        seed = int(rng.integers(2**31))
        actions.append(Action(str(emotion), onset, apex, end - 1, strength, weights, asymmetry, seed))
    return actions


def _lengths_and_gaps(settings, n, rng):
    """Log-uniform lengths `[n]` and the gaps before each `[n]`, in frames, that fit into the video."""
    fps, n_frames = settings["fps"], frame_count(settings)
    shortest, longest = (max(3, round(s * fps)) for s in settings["duration_s"])
    gap = max(1, round(settings["min_gap_s"] * fps))
    room = n_frames - (n + 1) * gap
    if shortest > longest or n * shortest > room:
        raise InputError(
            f"demo: {n} expressions of at least {settings['duration_s'][0]} s with gaps of {settings['min_gap_s']} s "
            f"do not fit into {settings['seconds']} s: lower expressions_per_minute, duration_s or min_gap_s"
        )
    lengths = np.rint(np.exp(rng.uniform(np.log(shortest), np.log(longest), n))).astype(int)
    while lengths.sum() > room:  # shorten the longest until it all fits
        lengths[lengths.argmax()] = max(shortest, int(lengths.max() * 0.8))
    # The free frames are shared among the n + 1 gaps at random (uniformly over all ways to do it).
    cuts = np.sort(rng.integers(0, room - lengths.sum() + 1, n))
    gaps = gap + np.diff(cuts, prepend=0)
    return [int(x) for x in lengths], [int(x) for x in gaps]


def _distractors(settings, expressions, rng):
    n = round(settings["distractors_per_minute"] * settings["seconds"] / 60)
    n_frames, fps = frame_count(settings), settings["fps"]
    kinds = rng.choice(list(DISTRACTORS), n, p=list(DISTRACTORS.values()))
    actions, busy = [], {"talk": [(a.onset, a.offset) for a in expressions]}
    for kind in map(str, kinds):
        length = max(2, round(rng.uniform(*DISTRACTOR_DURATION_S[kind]) * fps))
        taken = busy.setdefault(kind, [])
        free = [
            t
            for t in range(n_frames - length + 1)
            if all(t + length - 1 < onset or t > offset for onset, offset in taken)
        ]
        strength, asymmetry = rng.uniform(0.4, 1.0), rng.uniform(-1, 1)
        seed = int(rng.integers(2**31))
        if not free:  # speech that does not fit between two expressions is left out
            continue
        onset = int(rng.choice(free))
        taken.append((onset, onset + length - 1))
        actions.append(Action(kind, onset, None, onset + length - 1, strength, {}, asymmetry, seed))
    return actions
