"""Train the backbone on labelled stills: ResNet18 with one logit per emotion (rule `pretrain`).

The stills are the demo's or AffectNet's, told by the folder's content. All random choices of a step are drawn before
its pictures are read, so that the result does not depend on whether pictures fit into memory or how many processes
read them. No test subject may appear among the stills; the demo's are of identities that no demo subject uses.
"""

import pickle
from dataclasses import dataclass
from http.client import HTTPException

import cv2
import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision.models import ResNet18_Weights, resnet18
from tqdm import tqdm

from fedn_pipeline import __version__, compute, tensor_file
from fedn_pipeline.features import affectnet, backbone, stills
from fedn_pipeline.files import InputError

NOT_RECORDED = ("affectnet", "workers", "memory_mb")  # settings that do not change the weights


def read(folder, exclude, threads):
    """The stills in `folder`, of whichever kind. Raises InputError with all problems at once."""
    if (folder / stills.TABLE).is_file():
        return stills.read(folder, exclude, threads)
    if not folder.is_dir() or not affectnet.layouts(folder):
        raise InputError(
            f"{folder}: no stills: neither {stills.TABLE} (the `dataset` stage renders the demo's) nor AffectNet "
            "(training.csv and validation.csv, or train_set and val_set with images and annotations)"
        )
    if exclude is not None:
        raise InputError(f"{folder}: AffectNet has no photograph `{exclude}` to leave out")
    return affectnet.read(folder, threads)


@dataclass
class Change:
    """How one picture is varied: what alignment and light vary. `shift [2]` in shares of the side."""

    mirrored: bool
    shift: np.ndarray
    gain: float
    offset: float


@dataclass
class Batch:
    """Which pictures, `[n]` indices, and how each is changed (None: not at all)."""

    chosen: np.ndarray
    changes: list[Change] | None = None


def draw(generator, by_emotion, batch_size):
    """One training step's Batch, balanced over emotions; `by_emotion`: indices of the stills of each."""
    emotions = generator.integers(len(by_emotion), size=batch_size)
    chosen = np.array([generator.choice(by_emotion[emotion]) for emotion in emotions])
    changes = [
        Change(
            mirrored=generator.random() < 0.5,
            shift=generator.uniform(-0.03, 0.03, 2),
            gain=generator.uniform(0.8, 1.2),
            offset=generator.uniform(-20, 20),
        )
        for _ in range(batch_size)
    ]
    return Batch(chosen, changes)


def _changed(picture, change):
    """uint8 `[h, w, 3]`, mirrored, shifted by up to 3 %, with another gain and offset."""
    if change.mirrored:
        picture = picture[:, ::-1]
    picture = np.roll(picture, np.rint(change.shift * picture.shape[1]).astype(int), axis=(0, 1))
    return np.clip(picture * change.gain + change.offset, 0, 255).astype(np.uint8)


class Pictures:
    """Batch -> `(indices [n], uint8 [n, size, size, 3] RGB)`: from memory if all fit in, else from files."""

    def __init__(self, table, size, memory_mb):
        self.table, self.size, self.held = table, size, None
        n_bytes = len(table.paths) * size * size * 3
        if n_bytes <= memory_mb * 1e6:
            self.held = np.empty((len(table.paths), size, size, 3), dtype=np.uint8)
            for index in tqdm(range(len(table.paths)), desc="reading pictures", unit="picture"):
                self.held[index] = self._read(index)

    def _read(self, index):
        return stills.picture(self.table.paths[index], self.table.similarities[index], self.size)

    def __getitem__(self, batch):
        pictures = self.held[batch.chosen] if self.held is not None else map(self._read, batch.chosen)
        if batch.changes is not None:
            pictures = map(_changed, pictures, batch.changes)
        return batch.chosen, np.stack(list(pictures))

    def stream(self, batches, workers):
        """Items of each of `batches` (iterable), in order; read ahead by processes if not held in memory."""
        return DataLoader(
            self,
            sampler=batches,
            batch_size=None,
            collate_fn=_unchanged,
            num_workers=0 if self.held is not None else workers,
            worker_init_fn=_one_thread,
            generator=torch.Generator(),  # else the loader would draw from the network's
        )


def _unchanged(item):
    return item


def _one_thread(_):
    cv2.setNumThreads(0)


def start_from(initial, origin):
    """`(weights or None, what they are)`: ImageNet's by torchvision, or None for random ones (`pretrain.initial`)."""
    if initial == "random" or (initial == "auto" and origin == stills.DEMO_ORIGIN):
        return None, "random"
    url = ResNet18_Weights.IMAGENET1K_V1.url
    try:
        weights = torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, HTTPException, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        place = f"{torch.hub.get_dir()}/checkpoints/{url.rpartition('/')[2]}"
        if initial == "imagenet":
            raise InputError(
                f"pretrain.initial: imagenet: torchvision cannot load them ({error}); download {url} to {place}, or "
                "set pretrain.initial to random"
            ) from error
        print(
            f"WARNING: ImageNet's weights cannot be loaded ({error}): TRAINING STARTS FROM RANDOM WEIGHTS, which learn "
            f"less; download {url} to {place} and run again"
        )
        return None, "random (ImageNet's could not be loaded)"
    return {name: value for name, value in weights.items() if not name.startswith("fc.")}, "imagenet"


def confusion_text(emotions, confusion):
    """The confusion matrix as people read it: a row per true emotion, with the share found."""
    table = pd.DataFrame(confusion, index=emotions, columns=emotions)
    share = np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1)
    return table.assign(found=[f"{100 * value:.1f} %" for value in share]).to_string()


def run(folder, path, settings, exclude=None):
    """Train on the stills in `folder`, write the weights to `path`; returns a log.

    `settings`: sections pretrain and backbone. Batches are balanced over emotions; the learning rate goes through one
    cycle (Smith 2018). The log holds the validation accuracy and the confusion matrix (rows: true emotion).
    """
    pretrain, size = settings["pretrain"], settings["backbone"]["input_size"]
    mean, std = settings["backbone"]["mean"], settings["backbone"]["std"]
    workers = pretrain["workers"]
    device = compute.prepare(pretrain["seed"], pretrain["threads"])
    generator = np.random.default_rng(pretrain["seed"])

    # 1. Stills
    table = read(folder, exclude, workers)
    emotions, labels = table.emotions, table.labels
    train, valid = np.flatnonzero(table.training), np.flatnonzero(~table.training)
    by_emotion = [train[labels[train] == number] for number in range(len(emotions))]
    without = [emotion for emotion, indices in zip(emotions, by_emotion, strict=True) if not len(indices)]
    if without or not emotions:
        raise InputError(f"{folder}: no training still of {', '.join(without) or 'any emotion'}")
    if len(valid) == 0:
        raise InputError(f"{folder}: no validation still")
    pictures = Pictures(table, size, pretrain["memory_mb"])

    # 2. Network
    network = resnet18(num_classes=len(emotions))
    weights, initial = start_from(pretrain["initial"], table.origin)
    if weights is not None:
        network.load_state_dict({**network.state_dict(), **weights})
    network = network.to(device, memory_format=torch.channels_last).train()
    steps = pretrain["steps"]
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=pretrain["learning_rate"], weight_decay=pretrain["weight_decay"], fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, pretrain["learning_rate"], total_steps=steps)
    precision = compute.choose_precision("auto", device)

    def logits_of(images):
        with compute.autocast(precision, device):
            return network(backbone.normalise(images, mean, std).to(device)).float()

    # 3. Training
    batches = (draw(generator, by_emotion, pretrain["batch_size"]) for _ in range(steps))
    losses = []
    progress = tqdm(pictures.stream(batches, workers), desc="pretrain", total=steps, unit="step")
    for step, (chosen, images) in enumerate(progress):
        loss = F.cross_entropy(logits_of(images), torch.from_numpy(labels[chosen]).to(device))
        if not torch.isfinite(loss):
            raise FloatingPointError(f"pretrain: step {step}: loss is {loss.item()}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        progress.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}", refresh=False)

    # 4. Validation
    network.eval()
    batches = [Batch(part) for part in np.array_split(valid, -(-len(valid) // pretrain["batch_size"]))]
    with torch.no_grad():
        predicted = np.concatenate(
            [logits_of(images).argmax(1).cpu().numpy() for _, images in pictures.stream(batches, workers)]
        )
    confusion = np.zeros((len(emotions), len(emotions)), dtype=int)
    np.add.at(confusion, (labels[valid], predicted), 1)
    log = {
        "emotions": emotions,
        **table.notes,
        "initial": initial,
        "n_training": len(train),
        "n_validation": len(valid),
        "training_loss": float(np.mean(losses[-20:])),
        "validation_accuracy": float((predicted == labels[valid]).mean()),
        "confusion": confusion.tolist(),
    }
    print(f"Validation, a row per true emotion:\n{confusion_text(emotions, confusion)}")
    majority = np.bincount(labels[valid]).max() / len(valid)
    if log["validation_accuracy"] <= majority:
        print(f"WARNING: no better than always the commonest emotion ({majority:.3f}); raise pretrain.steps")
    provenance = {
        "origin": table.origin,
        "settings": {key: value for key, value in pretrain.items() if key not in NOT_RECORDED},
        "input_size": size,
        "mean": mean,
        "std": std,
        "stills_sha256": table.sha256,
        "version": __version__,
    }
    tensor_file.save(path, network.state_dict(), {**log, **provenance})
    return log
