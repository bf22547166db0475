"""Which emotions a fold's networks tell apart, FEDN and recognisers alike: those of its own training subjects."""

import sys

from fedn_pipeline.dataset.tables import emotions
from fedn_pipeline.files import InputError


def emotions_of_fold(events, parts, label):
    """Sorted emotions of the training subjects' `events`; `parts` is the fold's Split, `label` names it in messages.

    An expression without an emotion is never a target, which is warned of. Raises InputError if there are expressions
    and none has one.
    """
    theirs = events[events.video_id.isin(parts.train + parts.held_out)]
    found, unnamed = emotions(theirs), theirs[theirs.emotion == ""]
    if len(unnamed) and not found:
        raise InputError(
            f"events.csv: {label}: no expression names an emotion (0 of {len(unnamed)} of the training subjects); name "
            "them, or only spot (model.recognition: false)"
        )
    if len(unnamed):
        first = unnamed.iloc[0]
        print(
            f"WARNING: events.csv: {label}: {len(unnamed)} of {len(theirs)} expressions name no emotion and teach none "
            f"(the first: video {first.video_id}, onset {first.onset})",
            file=sys.stderr,
        )
    only_held_out = sorted(set(found) - set(emotions(events[events.video_id.isin(parts.train)])))
    if only_held_out:
        print(
            f"WARNING: events.csv: {label}: only the subjects that the threshold is chosen on show "
            f"{', '.join(only_held_out)}: nothing of it is learnt",
            file=sys.stderr,
        )
    return found


def _counted(events, recognition):
    return events[events.emotion != ""] if recognition else events


def taught(recognition):
    """What a fold learns from, in words; `recognition`: only what has a name counts."""
    return "expression that names an emotion" if recognition else "expression"


def teaches(events, parts, recognition):
    """Whether the videos that give the gradient show something to learn."""
    return bool(_counted(events, recognition).video_id.isin(parts.train).any())


def check_positives(events, parts, label, recognition):
    """Raise InputError if the videos that give the gradient show nothing to learn; `recognition`: only what has a name
    counts. Cheap: the workflow asks for every fold before anything is computed."""
    if teaches(events, parts, recognition):
        return
    counted, what = _counted(events, recognition), taught(recognition)
    shown = f"{' '.join(parts.train[:3])}{' ...' if len(parts.train) > 3 else ''}"
    elsewhere = int(counted.video_id.isin(parts.held_out).sum())
    raise InputError(
        f"events.csv: {label}: no {what} in the {len(parts.train)} video(s) to train on ({shown}; "
        f"{elsewhere} in those that the threshold is chosen on); label some there, or see "
        "dataset.labels, dataset.expression_types, training.held_out_fraction"
        + (", or only spot (model.recognition: false)" if recognition else "")
    )
