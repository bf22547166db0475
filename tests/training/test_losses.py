"""The loss: what counts, what does not, and its value by hand."""

import math

import pytest
import torch

from fedn_pipeline import config
from fedn_pipeline.training.losses import loss
from fedn_pipeline.training.targets import IGNORED, NEGATIVE, Targets


def settings(**changes):
    return config.validate({"training": changes})["training"]


def case():
    """One window, four predictions: a positive of class 1, two negatives, one ignored."""
    classes = torch.tensor([[1, NEGATIVE, NEGATIVE, IGNORED]])
    spans = torch.zeros(1, 4, 2)
    spans[0, 0] = torch.tensor([10.0, 20.0])
    predicted = torch.tensor([[[10.0, 15.0], [0, 1], [0, 1], [0, 1]]], requires_grad=True)
    logits = torch.zeros(1, 4, 2, requires_grad=True)
    return predicted, logits, Targets(spans, classes)


def test_value_by_hand():
    predicted, logits, targets = case()
    total, parts = loss(predicted, logits, targets, settings(imbalance="none"))
    assert parts["interval"].item() == pytest.approx(1 - 0.5 + (2.5 / 10) ** 2)  # centres 12.5 and 15, enclosing 10
    assert parts["recognition"].item() == pytest.approx(
        6 * math.log(2)
    )  # three predictions x two classes, one positive
    assert total.item() == pytest.approx((parts["interval"] + parts["recognition"]).item())


def test_ignored_has_no_gradient_and_negatives_no_interval():
    predicted, logits, targets = case()
    loss(predicted, logits, targets, settings())[0].backward()
    assert (logits.grad[0, 3] == 0).all() and (logits.grad[0, :3] != 0).all()
    assert (predicted.grad[0, 1:] == 0).all() and (predicted.grad[0, 0] != 0).any()


def test_batch_of_background_windows():
    logits = torch.zeros(2, 3, 4, requires_grad=True)
    targets = Targets(torch.zeros(2, 3, 2), torch.full((2, 3), NEGATIVE))
    total, parts = loss(torch.zeros(2, 3, 2, requires_grad=True), logits, targets, settings())
    total.backward()
    assert parts["positives"] == 0 and parts["interval"] == 0
    assert torch.isfinite(total) and (logits.grad > 0).all()


@pytest.mark.parametrize("name, wanted", [("iou", 0.5), ("giou", 0.5), ("diou", 0.5 + 0.0625)])
def test_interval_losses(name, wanted):
    predicted, logits, targets = case()
    assert loss(predicted, logits, targets, settings(interval_loss=name))[1]["interval"].item() == pytest.approx(wanted)


def test_confidence_branch_by_hand():
    """Classes by cross-entropy on the positive alone; objectness by BCE on everything that is not ignored."""
    predicted, _, targets = case()
    logits = torch.tensor([[[0.0, 1, 2], [0, 5, -1], [3, 0, 0], [9, 9, 9]]], requires_grad=True)  # two classes, object
    total, parts = loss(predicted, logits, targets, settings(imbalance="none"), confidence_branch=True)
    entropy = math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1)) + math.log(2)  # one positive, two negatives
    assert parts["objectness"].item() == pytest.approx(entropy)
    assert parts["recognition"].item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert total.item() == pytest.approx(sum(parts[name].item() for name in ("interval", "recognition", "objectness")))
    total.backward()
    assert (logits.grad[0, 3] == 0).all()  # ignored
    assert (logits.grad[0, 1:3, :2] == 0).all() and (logits.grad[0, 1:3, 2] > 0).all()  # negatives teach objectness
    assert (logits.grad[0, 0] * torch.tensor([1, -1, -1]) > 0).all()  # the positive: its class and objectness rise


def test_confidence_branch_has_the_same_remedy_and_weight():
    predicted, _, targets = case()
    logits = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))

    def parts_of(**changes):
        return loss(predicted, logits, targets, settings(**changes), confidence_branch=True)

    plain, focal = parts_of(imbalance="none")[1], parts_of(imbalance="focal")[1]
    assert focal["objectness"] < plain["objectness"] and focal["recognition"] == plain["recognition"]
    total, parts = parts_of(recognition_weight=0.5, interval_weight=0.0)
    assert total.item() == pytest.approx(0.5 * (parts["recognition"] + parts["objectness"]).item())


def test_confidence_branch_on_background():
    targets = Targets(torch.zeros(1, 3, 2), torch.full((1, 3), NEGATIVE))
    total, parts = loss(torch.zeros(1, 3, 2), torch.zeros(1, 3, 5), targets, settings(), confidence_branch=True)
    assert parts["recognition"] == 0 and parts["objectness"] > 0 and torch.isfinite(total)
