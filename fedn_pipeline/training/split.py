"""Leave-one-group-out: who trains, who is kept from the gradient, who is tested (evaluation.md, "Spotting F1")."""

import math
from dataclasses import dataclass

from fedn_pipeline.files import InputError


@dataclass(frozen=True)
class Split:
    """Groups' video ids: `train` gives the gradient, `held_out` learning curve and threshold, `test` the result."""

    train: tuple
    held_out: tuple
    test: tuple


def groups(videos, column):
    """Sorted values of the group column. Raises InputError if there are fewer than two."""
    if column not in videos:
        raise InputError(f"videos.csv: no column `{column}` (folds.group)")
    values = sorted(videos[column].unique())
    if len(values) < 2:
        raise InputError(f"videos.csv: leave-one-{column}-out needs at least two, found {values}")
    return values


def split(videos, column, test_group, fraction):
    """The fold that tests `test_group`.

    `fraction` of the training subjects, rounded up, is held out of the gradient: those that follow the test
    group's last subject in sorted order, cyclically. At least one subject must remain for training.
    """
    if test_group not in groups(videos, column):
        raise InputError(f"videos.csv: no {column} named {test_group}")
    is_test = videos[column] == test_group
    test_subjects = sorted(videos.subject[is_test].unique())
    others = sorted(set(videos.subject[~is_test]) - set(test_subjects))
    n_held_out = math.ceil(fraction * len(others))
    if n_held_out >= len(others):
        raise InputError(
            f"videos.csv: without {column} {test_group} only {len(others)} subject(s) are left; "
            f"training and threshold need at least two"
        )
    following = [s for s in others if s > test_subjects[-1]] + [s for s in others if s < test_subjects[-1]]
    held_out = following[:n_held_out]

    def ids(subjects):
        return tuple(videos.video_id[videos.subject.isin(subjects)])

    return Split(ids(set(others) - set(held_out)), ids(held_out), ids(test_subjects))
