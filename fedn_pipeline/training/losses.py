"""FEDN's loss: interval regression on positives, recognition on positives and negatives (Fang et al. 2025; model.md).

`interval_weight * (1 - DIoU) + recognition_weight * BCE`, both divided by the number of positives in the batch.
"""

import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from fedn_pipeline import intervals
from fedn_pipeline.training.targets import IGNORED

INTERVAL_SIMILARITY = {"iou": intervals.iou, "giou": intervals.giou, "diou": intervals.diou}


def loss(predicted, logits, targets, training):
    """Predicted intervals `[B, P, 2]` and logits `[B, P, C]` against Targets.

    Returns the scalar to minimise and its unweighted parts `{"interval", "recognition", "positives"}` (detached).
    """
    positive = targets.classes >= 0
    counted = targets.classes != IGNORED
    n_positive = positive.sum().clamp(min=1)

    similarity = INTERVAL_SIMILARITY[training["interval_loss"]](predicted[positive], targets.intervals[positive])
    interval = (1 - similarity).sum() / n_positive

    wanted = torch.zeros_like(logits)
    wanted[positive] = F.one_hot(targets.classes[positive], logits.shape[-1]).to(logits.dtype)
    if training["imbalance"] == "focal":
        alpha, gamma = training["focal_alpha"], training["focal_gamma"]
        entropy = sigmoid_focal_loss(logits[counted], wanted[counted], alpha, gamma, reduction="sum")
    else:
        entropy = F.binary_cross_entropy_with_logits(logits[counted], wanted[counted], reduction="sum")
    recognition = entropy / n_positive

    total = training["interval_weight"] * interval + training["recognition_weight"] * recognition
    parts = {"interval": interval, "recognition": recognition, "positives": positive.sum()}
    return total, {name: part.detach() for name, part in parts.items()}
