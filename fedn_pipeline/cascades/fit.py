"""The one training loop of the small networks: Adam or another over shuffled samples, a learning curve on held-out
subjects.

No epoch is chosen: the last step is the model.
"""

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from fedn_pipeline.files import InputError


def accuracy_row(logits, wanted):
    """Learning curve's columns for held-out samples: logits `[n, C]`, classes `wanted [n]`; NaN if there are none."""
    accuracy = (logits.argmax(1) == wanted).float().mean()
    return {"held_out_loss": float(F.cross_entropy(logits, wanted)), "held_out_accuracy": float(accuracy)}


def decaying(first, share):
    """A `rate` of `fit` that begins at `first` and is, with each epoch, `share` of what it was."""
    return lambda step, per_epoch: first * share ** (step // per_epoch)


def fit(network, loss_of, n_samples, held_out, recipe, generator, label, optimizer=torch.optim.Adam, rate=None):
    """Train `network` in place; rows of its learning curve: step, loss and what `held_out()` gives.

    `loss_of(chosen [b] int64)` is the loss of these training samples; `held_out()` a dictionary of numbers, called
    without gradient in evaluation mode. `recipe`: epochs, batch_size, learning_rate, weight_decay, gradient_norm,
    log_every; `rate(step, per_epoch)`: the learning rate of each step from 0, None: the recipe's. Raises InputError
    without samples, FloatingPointError if loss or gradient are not finite.
    """
    if not n_samples:
        raise InputError(f"events.csv: {label}: no sample of the training subjects to learn from")
    batch = min(recipe["batch_size"], n_samples)
    per_epoch = n_samples // batch
    n_steps = recipe["epochs"] * per_epoch
    trained = [value for value in network.parameters() if value.requires_grad]
    optimizer = optimizer(trained, lr=recipe["learning_rate"], weight_decay=recipe["weight_decay"])
    rows, losses, order = [], [], np.zeros(0, dtype=np.int64)
    network.train()
    for step in tqdm(range(1, n_steps + 1), desc=label, unit="step"):
        if len(order) < batch:
            order = generator.permutation(n_samples)
        chosen, order = order[:batch], order[batch:]
        if rate:
            for group in optimizer.param_groups:
                group["lr"] = rate(step - 1, per_epoch)
        loss = loss_of(chosen)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, recipe["gradient_norm"])
        if not torch.isfinite(loss) or not torch.isfinite(norm):
            raise FloatingPointError(f"{label}: step {step}: loss {loss.item()}, gradient norm {norm.item()}")
        optimizer.step()
        losses.append(float(loss.detach()))
        if step % recipe["log_every"] == 0 or step == n_steps:
            network.eval()
            with torch.no_grad():
                rows.append({"step": step, "loss": float(np.mean(losses)), **held_out()})
            network.train()
            losses = []
    network.eval()
    return rows
