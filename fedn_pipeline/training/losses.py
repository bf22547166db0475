"""FEDN's loss: interval regression on positives, recognition on positives and negatives (Fang et al. 2025; model.md).

`interval_weight * (1 - DIoU) + recognition_weight * BCE`, both divided by the number of positives in the batch. With a
confidence branch BCE is the objectness's, and recognition a cross-entropy over the classes of positives.
"""

import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from fedn_pipeline import intervals
from fedn_pipeline.training.targets import IGNORED

INTERVAL_SIMILARITY = {"iou": intervals.iou, "giou": intervals.giou, "diou": intervals.diou}


def _binary(logits, wanted, training):
    """Sum of binary cross-entropies `[n, C]`, with the configured remedy for many negatives per positive."""
    if training["imbalance"] == "focal":
        return sigmoid_focal_loss(logits, wanted, training["focal_alpha"], training["focal_gamma"], reduction="sum")
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")


def loss(predicted, logits, targets, training, confidence_branch=False):
    """Predicted intervals `[B, P, 2]` and logits `[B, P, C]` (`[B, P, C + 1]` with the branch) against Targets.

    Returns the scalar to minimise and its unweighted parts `{"interval", "recognition", "positives"}` (detached),
    with `"objectness"` where there is a confidence branch; it has the weight of recognition.
    """
    positive = targets.classes >= 0
    counted = targets.classes != IGNORED
    n_positive = positive.sum().clamp(min=1)

    similarity = INTERVAL_SIMILARITY[training["interval_loss"]](predicted[positive], targets.intervals[positive])
    parts = {"interval": (1 - similarity).sum() / n_positive}

    if confidence_branch:
        wanted = positive.to(logits.dtype)
        objectness = _binary(logits[..., -1][counted], wanted[counted], training)
        recognition = F.cross_entropy(logits[..., :-1][positive], targets.classes[positive], reduction="sum")
        parts |= {"recognition": recognition / n_positive, "objectness": objectness / n_positive}
    else:
        wanted = torch.zeros_like(logits)
        wanted[positive] = F.one_hot(targets.classes[positive], logits.shape[-1]).to(logits.dtype)
        parts["recognition"] = _binary(logits[counted], wanted[counted], training) / n_positive

    named = parts["recognition"] + parts.get("objectness", 0)
    total = training["interval_weight"] * parts["interval"] + training["recognition_weight"] * named
    parts["positives"] = positive.sum()
    return total, {name: part.detach() for name, part in parts.items()}
