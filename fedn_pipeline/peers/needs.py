"""Which caches a fold of each peer reads. The workflow asks here, so nothing heavy is imported."""

from fedn_pipeline.cascades.gap import half_length
from fedn_pipeline.training.split import split

SEGMENTS, FLOW, REGIONS = "features", "flow", "regions"  # folders of caches in data/DATASET/
# What each method (folds.method) reads beside the tables.
INPUT = {"lgsnet": SEGMENTS, "lssnet": SEGMENTS, "mdmd": FLOW}
METHODS = tuple(INPUT)


def gaps(videos, events, others, held_out, settings):
    """The gaps (steps of the 30 fps axis, rising) of the flow or region caches that a fold reads; none for features.

    `events` is the ground truth, `others` annotated events that are none; a gap that depends on labels depends on
    those of the fold's training subjects alone.
    """
    method = settings["folds"]["method"]
    if INPUT[method] == SEGMENTS:
        return []
    if fixed := settings[method].get("gaps"):
        return sorted(fixed)
    parts = split(videos, settings["folds"]["group"], held_out, settings["training"]["held_out_fraction"])
    known = [table[table.video_id.isin(parts.train)] for table in (events, others)]
    # Whose half length: the ground truth's, and that of the other expression type where it is annotated too.
    halves = [half_length(videos, table) for table in known if len(table)]
    shares = settings[method]["gap_shares"]
    return sorted({_nearest(share * half, settings["flow"]["gaps"]) for half in halves for share in shares})


def _nearest(steps, offered):
    """The gap of `flow.gaps` nearest to a number of steps, of two the smaller: folds share caches."""
    return min(offered, key=lambda gap: (abs(gap - steps), gap))
