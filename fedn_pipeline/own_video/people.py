"""Which of the people in a video is followed: `--person largest|left|right|INDEX`."""

import numpy as np

from fedn_pipeline.faces.following import weight
from fedn_pipeline.files import InputError

LARGEST, LEFT, RIGHT = "largest", "left", "right"
SMALLEST_SHARE = 0.05  # of the largest one's area over time: less is a face that was found by mistake, or passes by


def notable(people):
    """Those of `people` (lists of tracks, the weightiest first) who may be chosen, in this order."""
    return [chain for chain in people if weight(chain) >= SMALLEST_SHARE * weight(people[0])]


def check(which):
    """Raise InputError for what is no choice of a person at all."""
    if which not in (LARGEST, LEFT, RIGHT) and not (which.isdecimal() and int(which)):
        raise InputError(f"--person {which}: give {LARGEST}, {LEFT}, {RIGHT}, or a number from 1 on (1: the largest)")


def choose(people, which, name):
    """The chain of the person that `which` names, None if there is nobody. InputError for a number that nobody has."""
    check(which)
    if not people:
        return None
    if which == LARGEST:
        return people[0]
    if which in (LEFT, RIGHT):
        middles = [np.median([face.centre[0] for track in chain for face in track.faces]) for chain in people]
        return people[int(np.argmin(middles) if which == LEFT else np.argmax(middles))]
    if int(which) > len(people):
        raise InputError(f"{name}: --person {which}, but only {len(people)} people are seen for long enough")
    return people[int(which) - 1]
