"""Which caches a fold of each peer reads. The workflow asks here, so nothing heavy is imported."""

import re

import pandas as pd

from fedn_pipeline.cascades.gap import half_length
from fedn_pipeline.training.split import split

SEGMENTS, FLOW, REGIONS = "features", "flow", "regions"  # folders of caches in data/DATASET/
# `backbone.name` of the same motion as features of FEDN (features/motion.py); `{gap}`: of each fold's own.
AS_FEATURES = re.compile(rf"({FLOW}|{REGIONS})_gap([0-9]+|\{{gap\}})")
# What each method (folds.method) reads beside the tables.
INPUT = {
    "auwgcn": REGIONS,
    "lgsnet": SEGMENTS,
    "lssnet": SEGMENTS,
    "mdmd": FLOW,
    "mtsn": FLOW,
    "spotformer": REGIONS,
    "tan": REGIONS,
}
METHODS = tuple(INPUT)
BY_TYPE = {"mdmd", "mtsn"}  # read a gap for each expression type where there are two
ANNOTATED = {"mtsn"}  # of these also one that is annotated and no ground truth: its two streams see both lengths


def by_type(events):
    """The events of each type that there is, macro first; one that is not called micro is a macro-expression."""
    micro = events.expression_type == "micro"
    return [part for part in (events[~micro], events[micro]) if len(part)]


def gaps(videos, events, others, held_out, settings):
    """The gaps (steps of the 30 fps axis, rising) of the flow or region caches that a fold reads; none for features.

    `events` is the ground truth, `others` annotated events that are none. The method's section has `gaps`, as they are,
    or `gap_shares`: of half the mean length of the ground truth (BY_TYPE: of each type) of the fold's training subjects
    alone. Each is the nearest of `flow.gaps`, and no two are the same.
    """
    method = settings["folds"]["method"]
    if INPUT[method] == SEGMENTS:
        return []
    if fixed := settings[method].get("gaps"):
        return sorted(fixed)
    parts = split(videos, settings["folds"]["group"], held_out, settings["training"]["held_out_fraction"])
    truth, rest = (table[table.video_id.isin(parts.train)] for table in (events, others))
    types = by_type(pd.concat([truth, rest]) if method in ANNOTATED else truth) if method in BY_TYPE else []
    if len(types) < 2:
        types = [truth]
    shares = [1] if method in ANNOTATED and len(types) > 1 else settings[method]["gap_shares"]
    wanted = [share * half_length(videos, table) for table in types for share in shares]
    return _offered(wanted, settings["flow"]["gaps"])


def _offered(wanted, offered):
    """The gaps of `flow.gaps` nearest to some numbers of steps, so that folds share caches: of two the smaller, and the
    largest number chooses first. Fewer than `wanted` where there are not enough."""
    left, chosen = set(offered), []
    for steps in sorted(wanted, reverse=True)[: len(left)]:
        chosen.append(min(left, key=lambda gap, steps=steps: (abs(gap - steps), gap)))
        left.remove(chosen[-1])
    return sorted(chosen)
