"""The training loop: Adam on the windows of a fold's training subjects (Fang et al. 2025; model.md, "Training").

Numbered 1 to 4 so that the whole experiment can be seen at once. No epoch is chosen: the last step is the model.
`training.empty_passes` passes in a row without a positive (one alone is chance: a pass leaves windows out), and a loss
or gradient that is not finite, stop it with their cause.
"""

import math
import sys
from itertools import pairwise

import numpy as np
import torch
from tqdm import tqdm

from fedn_pipeline import compute
from fedn_pipeline.files import InputError
from fedn_pipeline.model import fedn, geometry
from fedn_pipeline.training import augmentation, losses, resume, targets, windows


def prepare(videos, events, settings, generator=None):
    """Index rows `[W, frames]`, Targets and Geometry of a set of videos: of its training windows, which the generator
    draws, or, without one, of those of the held-out loss, spread evenly. All but Geometry are on the features' device.
    """
    cut, index = videos.windows(settings["windows"], settings["windows"]["train_stride"])
    annotations = windows.annotate(cut, events, settings["windows"])
    if generator is None:
        n = min(len(cut), settings["training"]["held_out_windows"])
        chosen = np.arange(n) * len(cut) // n
    else:
        chosen = windows.choose_training(annotations, settings["windows"], generator)
        if not any(len(annotations[i].targets) for i in chosen):
            raise InputError("events.csv: no training window holds an expression; see also windows.*")
    grid = geometry.build(settings["windows"], settings["model"])
    # `annotate` says "no event" with one object, which most windows share: one assignment serves them all.
    distinct = {id(annotations[i]): annotations[i] for i in chosen}
    place = {key: number for number, key in enumerate(distinct)}
    assigned = targets.assign_all(list(distinct.values()), grid, settings["model"], settings["training"])
    assigned = assigned.select(torch.tensor([place[id(annotations[i])] for i in chosen])).to(index.device)
    return index[torch.from_numpy(chosen).to(index.device)], assigned, grid


def learning_rate(step, n_steps, training):
    """Linear warm-up, then cosine to `final_learning_rate` (1.0: constant, as in the paper)."""
    peak, warmup = training["learning_rate"], training["warmup_steps"]
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, n_steps - warmup)
    final = training["final_learning_rate"]
    return peak * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


def _positives_by_level(assigned, grid, label):
    """Columns of the log: positives of each level among the training windows; warns of a level without any."""
    per_prediction = (assigned.classes >= 0).sum(0).cpu()  # [P]
    counts = {int(stride): int(per_prediction[grid.stride == stride].sum()) for stride in grid.stride.unique()}
    silent = [str(stride) for stride, count in counts.items() if not count]
    if silent:
        print(
            f"WARNING: {label}: no training window gives a positive on level(s) of stride {', '.join(silent)} frames: "
            "nothing is learnt there but silence; see model.level_ranges, anchor_widths",
            file=sys.stderr,
        )
    return {f"training_positives_{stride}": count for stride, count in counts.items()}


def _cause(features, parts, network):
    """The first thing that is not finite in a step that has to stop; `features` are those of its windows."""
    if not torch.isfinite(features).all():
        return "the features of its windows"
    for name, value in parts.items():
        if not torch.isfinite(value):
            return f"the {name} loss"
    for name, parameter in network.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            return f"the gradient of {name}"
    return "the sum of all squared gradients"


def train(videos, events, held_out_videos, held_out_events, classes, settings, seed, device, label="", saved=None):
    """Train one network. Returns `(network, log rows)`; without held-out videos (None) the log has no held-out loss.

    Raises FloatingPointError if a loss or gradient is not finite, InputError if no window, or none that
    `training.empty_passes` passes in a row have seen, gives a positive. `label` names the fold in messages;
    `saved` (resume.Saved) keeps the state at the end of an epoch, from which a killed training goes on.
    """
    training = settings["training"]
    precision = compute.choose_precision(training["precision"], device)

    # 1. Windows, targets and the order in which they are seen.
    generator = np.random.default_rng(seed)
    index, assigned, grid = prepare(videos, events, settings, generator)
    if held_out_videos:
        held_index, held_assigned, _ = prepare(held_out_videos, held_out_events, settings)
    positive_windows = int((assigned.classes >= 0).any(1).sum())
    if not positive_windows:
        raise InputError("events.csv: no prediction answers for any expression; see model.level_ranges, anchor_widths")
    by_level = _positives_by_level(assigned, grid, label)
    batch = min(training["batch_size"], len(index))
    per_epoch = len(index) // batch
    n_steps = training["steps"] or training["epochs"] * per_epoch
    n_rows = torch.from_numpy(videos.n_steps // videos.row_stride).to(device)
    first = torch.cumsum(n_rows, 0) - n_rows  # of each video

    # 2. Network and optimiser.
    network, _ = fedn.build(settings, len(classes))
    network, grid = network.to(device).train(), grid.to(device)
    if settings["model"]["input_norm"] == "training":
        network.input_norm.mean, network.input_norm.deviation = videos.moments()
    optimizer = torch.optim.Adam(
        network.parameters(), lr=training["learning_rate"], weight_decay=training["weight_decay"], fused=True
    )

    def loss_of(rows, features, wanted):
        with compute.autocast(precision, device):
            raw, logits = network.of_windows(features, rows)
        predicted = geometry.decode(raw.float(), grid)
        return losses.loss(predicted, logits.float(), wanted, training, settings["model"]["confidence_branch"])

    def held_out_loss():
        network.eval()
        with torch.no_grad():
            total, weight = torch.zeros((), dtype=torch.float64, device=device), 0
            for first in range(0, len(held_index), batch):
                part = slice(first, first + batch)
                loss, parts = loss_of(held_index[part], held_out_videos.features, held_assigned.select(part))
                total += loss.double() * parts["positives"].clamp(min=1)
                weight += parts["positives"]
        network.train()
        mean = total.item() / max(1, int(weight))
        if not math.isfinite(mean):
            raise FloatingPointError(f"{label}: after step {step}: held-out loss {mean}; are those features finite?")
        return mean

    # 3. Steps.
    state = saved.load(network, optimizer, generator, device) if saved else resume.State()
    order, met = index.new_zeros(0), 0
    for step in tqdm(range(state.step, n_steps), f"train {label}", n_steps, initial=state.step, unit="step"):
        if len(order) < batch:
            order = torch.from_numpy(generator.permutation(len(index))).to(device)
        chosen, order = order[:batch], order[batch:]
        rate = learning_rate(step, n_steps, training)
        for group in optimizer.param_groups:
            group["lr"] = rate
        features, rows = videos.features, index[chosen]
        if any(training[spread] for spread in augmentation.SPREADS):
            features, rows = augmentation.varied(features, rows, first, training, generator)
        loss, parts = loss_of(rows, features, assigned.select(chosen))
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), training["gradient_norm"])
        if not torch.isfinite(loss.detach() + norm):  # the step's one look at the device
            cause = _cause(videos.features[index[chosen]], parts, network)
            raise FloatingPointError(
                f"{label}: step {step}: not finite: {cause} (loss {loss.item()}, gradient norm {norm.item()})"
            )
        optimizer.step()
        met += parts["positives"]
        if len(order) < batch:  # a pass over the windows ends
            state.empty_passes = 0 if met else state.empty_passes + 1
            if state.empty_passes == training["empty_passes"]:  # one alone is chance where a pass leaves windows out
                raise InputError(
                    f"{label}: no positive in the {per_epoch * state.empty_passes} steps up to step {step}: only "
                    f"{positive_windows} of {len(index)} training windows hold one, and {len(order)} are left out of a "
                    "pass; label more expressions, or lower windows.background_per_positive or training.batch_size"
                )
            met = 0
        for name, value in {"loss": loss.detach(), **parts, "gradient_norm": norm.detach()}.items():
            state.sums[name] = state.sums.get(name, 0) + value

        # 4. A row of the learning curve.
        since = (step + 1) % training["log_every"] or training["log_every"]
        if since == training["log_every"] or step == n_steps - 1:
            means = {name: float(value) / since for name, value in state.sums.items()}
            row = {"step": step + 1, "epoch": (step + 1) / max(1, per_epoch), "learning_rate": rate, **means}
            held_out = {"held_out_loss": held_out_loss()} if held_out_videos else {}
            state.rows.append({**row, **held_out, **by_level})
            state.sums = {}

        if saved and len(order) < batch and step < n_steps - 1:
            state.step = step + 1
            saved.save(network, optimizer, generator, state)
    return network, state.rows


@torch.no_grad()
def predict(network, videos, settings, device):
    """Raw predictions of all test windows: starts [W], intervals [W, P, 2], logits [W, P, C], per video."""
    network.eval()
    precision = compute.choose_precision(settings["training"]["precision"], device)
    grid = geometry.build(settings["windows"], settings["model"]).to(device)
    cut, index = videos.windows(settings["windows"], settings["windows"]["test_stride"])
    outputs = []
    for first in range(0, len(index), settings["training"]["predict_batch_size"]):
        rows = index[first : first + settings["training"]["predict_batch_size"]]
        with compute.autocast(precision, device):
            raw, logits = network.of_windows(videos.features, rows)
        outputs.append((geometry.decode(raw.float(), grid).cpu().numpy(), logits.float().cpu().numpy()))
    spans, logits = (np.concatenate(part) for part in zip(*outputs, strict=True))
    ends = np.searchsorted(cut.video, np.arange(len(videos.ids) + 1))  # windows are sorted by video
    return {
        video: (cut.start[first:end], spans[first:end], logits[first:end])
        for video, (first, end) in zip(videos.ids, pairwise(ends), strict=True)
    }
