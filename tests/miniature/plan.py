"""What the miniature releases hold: which expressions a clip shows and when, and the truth that was planted.

First step of every writer here. Written from `datasets.md` alone, never from the readers, so that the two check each
other.
"""

from dataclasses import dataclass, replace

import pandas as pd

from fedn_pipeline.dataset.demo.planning import EMOTIONS

EVENT_COLUMNS = ["source", "onset", "apex", "offset", "expression_type", "emotion", "label_set", "provenance"]
VIDEO_COLUMNS = ["source", "subject", "kind", "n_frames", "fps", "width", "height", "first_number"]
ISSUE_COLUMNS = ["source", "row", "trap"]
LEAST_SECONDS = 4.5  # shorter clips have no room for four expressions
# Type, onset as a share of the clip, seconds from onset to apex and from apex to offset, strength; the third falls for
# 20 frames at 30 fps.
_COURSE = (
    ("macro", 0.04, 0.40, 0.60, 0.9),
    ("micro", 0.30, 0.13, 0.20, 0.5),
    ("macro", 0.44, 0.50, 2 / 3, 1.0),
    ("macro", 0.72, 1 / 3, 0.60, 0.9),
)
_OVERLAPPING_ONSET = 0.62  # of the last expression: before the end of the one before
_BLINK = (0.93, 0.25)  # onset as a share of the clip, seconds


@dataclass(frozen=True)
class Expression:
    """One planted expression: a kind out of the demo's EMOTIONS on the clip's 0-based frames, ends inclusive."""

    kind: str
    onset: int
    apex: int
    offset: int
    type: str
    strength: float


@dataclass(frozen=True)
class Planted:
    """The truth of a release, frames 0-based and inclusive, after the repairs that datasets.md demands.

    `videos` and `events` have the canonical columns, but `source` (path relative to the root) instead of the reader's
    own `video_id`; `subject` as the release spells it. `issues`: `source, row, trap`, one line per trap; `row` as seen
    in the sheet, None where the trap lies in the files. `events` holds macro and micro rows of every label set.
    """

    videos: pd.DataFrame
    events: pd.DataFrame
    issues: pd.DataFrame


def planted(videos, events, issues):
    """`Planted` from lists of rows."""
    events = pd.DataFrame(events, columns=EVENT_COLUMNS).astype({"apex": "Int64"})
    return Planted(
        pd.DataFrame(videos, columns=VIDEO_COLUMNS).astype({"first_number": "Int64"}),
        events,
        pd.DataFrame(issues, columns=ISSUE_COLUMNS).astype({"row": "Int64"}),
    )


def frame_count(seconds, fps):
    if seconds < LEAST_SECONDS:
        raise ValueError(f"{seconds} s: a clip needs {LEAST_SECONDS} s for its expressions")
    return round(seconds * fps)


def script(person, n_frames, fps, overlap=False):
    """The expressions of one clip: macro, micro, macro, macro, each person with other kinds in these places."""
    expressions = []
    for i, (kind_of, share, rise_s, fall_s, strength) in enumerate(_COURSE):
        onset = round((_OVERLAPPING_ONSET if overlap and i == len(_COURSE) - 1 else share) * n_frames)
        apex = onset + round(rise_s * fps)
        # Macros first, so that the first three persons' macros hold every emotion.
        place = (0, 3, 1, 2)[i]
        kind = EMOTIONS[(person + place) % len(EMOTIONS)]
        expressions.append(Expression(kind, onset, apex, apex + round(fall_s * fps), kind_of, strength))
    return expressions


def blink(n_frames, fps):
    """First and last frame of a clip's one blink."""
    onset = round(_BLINK[0] * n_frames)
    return onset, onset + round(_BLINK[1] * fps) - 1


def backwards(expressions, n_frames):
    """The same expressions on the clip played backwards: still expressions, at other places."""
    last = n_frames - 1
    turned = [replace(e, onset=last - e.offset, apex=last - e.apex, offset=last - e.onset) for e in expressions]
    return turned[::-1]
