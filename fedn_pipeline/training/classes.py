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
    return found
