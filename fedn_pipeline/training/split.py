"""Leave-one-group-out: who trains, who is kept from the gradient, who is tested (evaluation.md, "Spotting F1")."""

import math
from dataclasses import dataclass

from fedn_pipeline.dataset.tables import SAFE_NAME
from fedn_pipeline.files import InputError


@dataclass(frozen=True)
class Split:
    """Groups' video ids: `train` gives the gradient, `held_out` learning curve and threshold, `test` the result."""

    train: tuple
    held_out: tuple
    test: tuple


BY_VIDEO = ("split", "video_id")  # columns that part videos, not people: one subject may be on both sides
PLAIN_SPLIT = "config/experiments/fedn_split.yaml trains on the videos with events and predicts the others"


def groups(videos, column, chosen=None):
    """Sorted values of the group column that are held out in turn, or those `chosen`.

    Raises InputError if there are fewer than two values in the column, or a chosen one is not there.
    """
    if column not in videos:
        raise InputError(f"videos.csv: no column `{column}` (folds.group)")
    values = sorted(videos[column].unique())
    if len(values) < 2:
        raise InputError(
            f"videos.csv: leave-one-{column}-out needs at least two values of `{column}`, found {values}; name the "
            f"subjects in a column `subject`, or split the videos instead: {PLAIN_SPLIT}"
        )
    unsafe = [value for value in values if not SAFE_NAME.fullmatch(value)]
    if unsafe:
        raise InputError(
            f"videos.csv: column `{column}` has {unsafe[0]!r}, but its values name the folders of folds: use letters, "
            "digits, `.`, `_`, `-` only"
        )
    unknown = sorted(set(chosen or []) - set(values))
    if unknown:
        raise InputError(f"videos.csv: column `{column}` has no {unknown} (folds.held_out); there are: {values}")
    return sorted(chosen) if chosen else values


def check(videos, folds, fraction):
    """The held-out groups of section `folds`; InputError if one of its folds could not be trained."""
    names = groups(videos, folds["group"], folds["held_out"])
    for name in names:
        split(videos, folds["group"], name, fraction)
    return names


def split(videos, column, test_group, fraction, left_out=()):
    """The fold that tests `test_group`.

    `fraction` of the training subjects, rounded up, is held out of the gradient: those that follow the test
    group's last subject in sorted order, cyclically. At least one subject must remain for training. Where the group
    column parts videos instead of people (BY_VIDEO), videos take the place of subjects. On the videos `left_out`
    nothing is learnt or chosen; they are tested as all others.
    """
    if test_group not in groups(videos, column):
        raise InputError(f"videos.csv: no {column} named {test_group}")
    unit = videos.video_id if column in BY_VIDEO else videos.subject
    kind = "video" if column in BY_VIDEO else "subject"
    is_test = videos[column] == test_group
    test_subjects = sorted(unit[is_test].unique())
    teaches = ~videos.video_id.isin(list(left_out))
    others = sorted(set(unit[~is_test & teaches]) - set(test_subjects))
    n_held_out = math.ceil(fraction * len(others))
    if n_held_out >= len(others):
        more = "events for another video" if column == "split" else f"another {kind}"
        raise InputError(
            f"videos.csv: when {column} `{test_group}` is held out, {len(others)} {kind}(s) are left to train on, but "
            f"training and threshold need at least two: add {more}"
            + ("" if column in BY_VIDEO else f", or split the videos instead: {PLAIN_SPLIT}")
        )
    following = [s for s in others if s > test_subjects[-1]] + [s for s in others if s < test_subjects[-1]]
    held_out = following[:n_held_out]

    def ids(subjects, among=True):
        return tuple(videos.video_id[unit.isin(subjects) & among])

    return Split(ids(set(others) - set(held_out), teaches), ids(held_out, teaches), ids(test_subjects))
