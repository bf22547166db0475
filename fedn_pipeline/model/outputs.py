"""What the last axis of a network's logits holds: its classes and, with `model.confidence_branch`, an objectness.

Between the fold, which writes the names into `predictions.h5`, and stage `detections`, which reads them. No torch.
"""

from fedn_pipeline.files import InputError

OBJECTNESS = "objectness"  # reserved: as the last name it marks the confidence branch's logit


def names(classes, model):
    """Names of the logits `[..., C]` or `[..., C + 1]`: the classes, then OBJECTNESS if there is that branch."""
    if OBJECTNESS in classes:
        raise InputError(f"events.csv: emotion `{OBJECTNESS}`: this name is reserved; call it something else")
    return [*classes, OBJECTNESS] if model["confidence_branch"] else list(classes)
