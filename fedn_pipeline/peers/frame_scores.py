"""From labelled steps to a loss, and from scores of steps to intervals, as AUW-GCN's code does (Yin et al. 2023; both
from ABPN, Leng et al. 2022, "ABPN: Apex and boundary perception network for micro- and macro-expression spotting").

Per kind of expression five outputs: onset, offset, neither (softmax), near an apex, inside an expression (sigmoids).
"""

import numpy as np
import torch
from torch.nn import functional as F

from fedn_pipeline.detection.nms import nms

OUTPUTS, APEX, INSIDE = 5, 3, 4


def binary(logit, wanted, alpha, gamma, smoothing):
    """Focal binary cross-entropy `[n]` of wanted values [n] in [0, 1]; any above 0 is a positive, which weighs alpha.

    `smoothing` is what a negative's probability counts as too high beyond its own value.
    """
    p, positive = torch.sigmoid(logit), wanted > 0
    away = (wanted - p).abs().where(positive, p - smoothing).abs() ** gamma
    return -torch.where(positive, alpha * away * F.logsigmoid(logit), (1 - alpha) * away * F.logsigmoid(-logit))


def boundary(logits, wanted, alpha, gamma):
    """Focal cross-entropy `[n]` of onset, offset, neither `[n, 3]`; onset and offset weigh alpha / 2 each."""
    log_p = F.log_softmax(logits, dim=-1).gather(-1, wanted[:, None])[:, 0]
    weight = logits.new_tensor([alpha / 2, alpha / 2, 1 - alpha])[wanted]
    return -weight * (1 - log_p.exp()) ** gamma * log_p


def loss(logits, steps, rows, kinds, own):
    """Loss of `logits [b, K * 5, length]` for Steps at `rows [b, length]`: mean over counted ones, sum over kinds."""
    counted = steps.counted[rows]
    if not counted.any():
        return 0 * logits.sum()
    found = logits.unflatten(1, (len(kinds), OUTPUTS)).permute(0, 3, 1, 2)[counted]  # [n, K, 5]
    wanted = [column[rows][counted].to(logits.device) for column in (steps.boundary, steps.apex, steps.inside)]
    total, gamma, smoothing = 0, own["focal_gamma"], own["label_smoothing"]
    for k, kind in enumerate(kinds):
        parts = {
            "boundary": boundary(found[:, k, :APEX], wanted[0][:, k], own["focal_alpha"]["boundary"], gamma),
            "apex": binary(found[:, k, APEX], wanted[1][:, k], own["focal_alpha"]["apex"], gamma, smoothing),
            "inside": binary(found[:, k, INSIDE], wanted[2][:, k], own["focal_alpha"]["inside"], gamma, smoothing),
        }
        total = total + sum(own["loss_weights"][kind][name] * part.mean() for name, part in parts.items())
    return total


def probabilities(logits):
    """`[K * 5, n]` of one video -> onset, offset, apex `[3, K, n]` float64."""
    found = logits.unflatten(0, (-1, OUTPUTS)).double()
    of_boundary = torch.softmax(found[:, :APEX], dim=1)
    return torch.stack([of_boundary[:, 0], of_boundary[:, 1], torch.sigmoid(found[:, APEX])]).numpy()


def intervals_of(onset, offset, apex, least, mean, own):
    """Intervals of one kind from scores `[n]` of one video: `(spans [k, 2] half-open, score [k], apex score [k])`.

    Each step with an apex score above `apex_threshold` takes the likeliest onset before it and offset behind it,
    between half the `least` and half the `mean` length of the training expressions away, where each must be likelier
    than the other; its score is the product of the three. Then NMS.
    """
    at = np.flatnonzero(apex > own["apex_threshold"])
    away = np.arange(max(1, int(least / 2)), max(1, int(mean / 2)) + 1)
    before, behind = (at[:, None] - away).clip(min=0), (at[:, None] + away).clip(max=len(apex) - 1)
    each = np.arange(len(at))
    first, last = before[each, onset[before].argmax(axis=1)], behind[each, offset[behind].argmax(axis=1)]
    keep = (onset[first] > offset[first]) & (offset[last] > onset[last]) & (last - first + 1 >= least)
    spans = np.stack([first, last + 1], axis=1)[keep].astype(np.float64)
    score = (onset[first] * offset[last] * apex[at])[keep]
    kept = nms(spans, score, own["nms_iou"])
    return spans[kept], score[kept], apex[at[keep]][kept]


def own_scores(apex, score, kinds, own):
    """What the published protocol keeps: apex probability `[k]`, 0 beyond the `most` best-scored of a kind."""
    kept = np.zeros(len(apex))
    for kind in np.unique(kinds):
        candidates = np.flatnonzero((kinds == kind) & (apex > own["apex_threshold"]))
        best = candidates[np.argsort(-score[candidates], kind="stable")[: own["most"]]]
        kept[best] = apex[best]
    return kept
