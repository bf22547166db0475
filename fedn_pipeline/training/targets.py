"""Which prediction answers for which annotated expression (model.md; encoding of LGSNet / LSSNet).

Anchor-free: positive when its point lies inside the interval and the farther end is within the level's range; the
shortest interval wins. Anchor-based: IoU above `positive_iou` positive, below `negative_iou` negative, between
ignored. A prediction whose anchor touches any other annotated event is ignored instead of negative.

At several rates (`windows.rates`) an event is left to the rates whose steps suit its length. At the others, what would
answer for it there, or be undecided, is ignored: the weights are shared, and the same picture in steps is a positive of
another event at another rate. So is the level nearest to its length, the first or the last, where it touches the event.
Every other prediction is taught that no interval of its length is there. Were all ignored, hardly a long prediction of
a coarse rate, or a prediction inside a long event, would ever have been a negative.
"""

from dataclasses import dataclass

import torch

from fedn_pipeline import intervals


@dataclass
class Targets:
    """For W windows of P predictions: intervals [W, P, 2] frames; classes [W, P] int64, see the constants below."""

    intervals: torch.Tensor
    classes: torch.Tensor

    def select(self, chosen):
        """Targets of some of the windows (a slice, or an index tensor)."""
        return Targets(self.intervals[chosen], self.classes[chosen])

    def to(self, device):
        return Targets(self.intervals.to(device), self.classes.to(device))


NEGATIVE = -1  # trained towards zero probability of every class
IGNORED = -2  # takes no part in any loss


def assign(annotation, geometry, model, training):
    """Targets of one window: intervals `[P, 2]` float32, classes `[P]` (class, NEGATIVE or IGNORED)."""
    anchors, point, free = geometry.anchors, geometry.point, geometry.anchor_free
    classes = torch.full_like(geometry.level, NEGATIVE)
    matched = torch.zeros(len(point), 2)

    ignored = torch.as_tensor(annotation.ignored, dtype=torch.float32).reshape(-1, 2)
    inside_ignored = (point[:, None] >= ignored[:, 0]) & (point[:, None] < ignored[:, 1])
    overlap_ignored = intervals.intersection(anchors[:, None], ignored[None]) > 0
    classes[torch.where(free[:, None], inside_ignored, overlap_ignored).any(1)] = IGNORED

    for spans, level in ((annotation.too_short, geometry.level[0]), (annotation.too_long, geometry.level[-1])):
        if len(spans):
            left = torch.as_tensor(spans, dtype=torch.float32)
            cells = torch.stack([point - geometry.width / 2, point + geometry.width / 2], dim=-1)
            touching = (intervals.intersection(cells[:, None], left[None]) > 0).any(1)
            answers, overlap = _fit(left, geometry, model)
            fitting = (answers | (overlap >= training["negative_iou"])).any(1)
            classes[fitting | (touching & (geometry.level == level))] = IGNORED

    truth = torch.as_tensor(annotation.targets, dtype=torch.float32).reshape(-1, 2)
    if not len(truth):
        return matched, classes
    labels = torch.as_tensor(annotation.classes, dtype=torch.int64)

    answers, overlap = _fit(truth, geometry, model)
    shortest = torch.where(answers, intervals.length(truth), torch.inf).argmin(1)

    best_iou, best = overlap.max(1)
    undecided = ~free & (best_iou >= training["negative_iou"]) & (best_iou <= training["positive_iou"])
    classes[undecided] = IGNORED

    positive = torch.where(free, answers.any(1), best_iou > training["positive_iou"])
    which = torch.where(free, shortest, best)[positive]
    classes[positive], matched[positive] = labels[which], truth[which]
    return matched, classes


def _fit(spans, geometry, model):
    """How predictions fit events `[g, 2]`: `[P, g]` whether an anchor-free one answers, and the IoU of anchors (0 for
    an anchor-free one)."""
    point = geometry.point[:, None]
    ranges = torch.tensor(model["level_ranges"])[geometry.level]  # [P, 2]
    to_start, to_end = point - spans[:, 0], spans[:, 1] - point  # [P, g]
    farther = torch.maximum(to_start, to_end)
    inside = (to_start >= 0) & (to_end > 0)  # half-open
    answers = inside & (farther >= ranges[:, :1]) & (farther <= ranges[:, 1:]) & geometry.anchor_free[:, None]
    return answers, intervals.pairwise_iou(geometry.anchors, spans)


def assign_all(annotations, geometry, model, training):
    """Targets of W windows (at least one)."""
    pairs = [assign(annotation, geometry, model, training) for annotation in annotations]
    return Targets(*(torch.stack(column) for column in zip(*pairs, strict=True)))
