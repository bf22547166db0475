"""Train the backbone on labelled stills: ResNet18 with one logit per emotion (rule `pretrain`).

Stills are `stills.csv` (`path, emotion, identity, photograph, split`) beside their pictures, already in the crops'
framing. No test subject may appear among the stills; the demo's are of identities that no demo subject uses.
"""

import cv2
import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F
from torchvision.models import resnet18
from tqdm import tqdm

from fedn_pipeline import __version__, compute
from fedn_pipeline.features import backbone
from fedn_pipeline.files import InputError, sha256

COLUMNS = ["path", "emotion", "identity", "photograph", "split"]


def read_stills(folder, exclude=None):
    """Table of stills, those of photograph `exclude` left out. Raises InputError naming file and rule."""
    path = folder / "stills.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file; the `dataset` stage renders the demo's stills")
    table = pd.read_csv(path, dtype=str)
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise InputError(f"{path}: columns missing: {', '.join(missing)}")
    if exclude is not None:
        if exclude not in set(table.photograph):
            raise InputError(f"{path}: no photograph `{exclude}` to leave out")
        table = table[table.photograph != exclude].reset_index(drop=True)
    shared = set(table.identity[table.split == "train"]) & set(table.identity[table.split == "validation"])
    if shared:
        raise InputError(f"{path}: identities in both splits: {sorted(shared)[:3]}")
    return table


def _load(folder, table, size):
    """All pictures at `size` `[n, size, size, 3]` uint8 (RGB); raises InputError for one that cannot be read."""
    pictures = np.empty((len(table), size, size, 3), dtype=np.uint8)
    for number, name in enumerate(table.path):
        picture = cv2.imread(str(folder / name))
        if picture is None:
            raise InputError(f"{folder / name}: not a readable picture (stills.csv row {number + 2})")
        pictures[number] = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)[..., ::-1]
    return pictures


def _augment(pictures, generator):
    """Mirror, shift by up to 3 %, and change gain and offset of uint8 `[n, h, w, 3]`: what alignment and light vary."""
    changed = np.empty_like(pictures)
    side = pictures.shape[1]
    for number, picture in enumerate(pictures):
        if generator.random() < 0.5:
            picture = picture[:, ::-1]
        shift = np.rint(generator.uniform(-0.03, 0.03, 2) * side).astype(int)
        picture = np.roll(picture, shift, axis=(0, 1))
        gain, offset = generator.uniform(0.8, 1.2), generator.uniform(-20, 20)
        changed[number] = np.clip(picture * gain + offset, 0, 255)
    return changed


def run(folder, path, settings, exclude=None):
    """Train on the stills in `folder`, write the weights to `path`; returns a log.

    `settings`: sections pretrain and backbone. Batches are balanced over emotions; the learning rate goes through one
    cycle (Smith 2018). The log holds the validation accuracy and the confusion matrix (rows: true emotion).
    """
    pretrain, size = settings["pretrain"], settings["backbone"]["input_size"]
    device = compute.prepare(pretrain["seed"], pretrain["threads"])
    generator = np.random.default_rng(pretrain["seed"])
    table = read_stills(folder, exclude)
    pictures = _load(folder, table, size)
    emotions = sorted(table.emotion.unique())
    labels = np.array([emotions.index(emotion) for emotion in table.emotion])
    train, valid = (np.flatnonzero(table.split == split) for split in ("train", "validation"))
    by_emotion = [train[labels[train] == number] for number in range(len(emotions))]
    if min(map(len, by_emotion)) == 0 or len(valid) == 0:
        raise InputError(f"{folder / 'stills.csv'}: an emotion has no training still, or there is no validation still")

    network = resnet18(num_classes=len(emotions)).to(device, memory_format=torch.channels_last).train()
    steps = pretrain["steps"]
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=pretrain["learning_rate"], weight_decay=pretrain["weight_decay"], fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, pretrain["learning_rate"], total_steps=steps)
    precision = compute.choose_precision("auto", device)

    def logits_of(images):
        with compute.autocast(precision, device):
            return network(backbone.normalise(images).to(device)).float()

    losses = []
    progress = tqdm(range(steps), desc="pretrain", unit="step")
    for step in progress:
        emotion = generator.integers(len(emotions), size=pretrain["batch_size"])
        chosen = np.array([generator.choice(by_emotion[e]) for e in emotion])
        loss = F.cross_entropy(logits_of(_augment(pictures[chosen], generator)), torch.from_numpy(emotion).to(device))
        if not torch.isfinite(loss):
            raise FloatingPointError(f"pretrain: step {step}: loss is {loss.item()}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        progress.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}", refresh=False)

    network.eval()
    with torch.no_grad():
        batches = np.array_split(valid, -(-len(valid) // pretrain["batch_size"]))
        predicted = np.concatenate([logits_of(pictures[batch]).argmax(1).cpu().numpy() for batch in batches])
    confusion = np.zeros((len(emotions), len(emotions)), dtype=int)
    np.add.at(confusion, (labels[valid], predicted), 1)
    log = {
        "emotions": emotions,
        "excluded_photograph": exclude,
        "training_loss": float(np.mean(losses[-20:])),
        "validation_accuracy": float((predicted == labels[valid]).mean()),
        "confusion": confusion.tolist(),
    }
    majority = np.bincount(labels[valid]).max() / len(valid)
    if log["validation_accuracy"] <= majority:
        print(f"WARNING: no better than always the commonest emotion ({majority:.3f}); raise pretrain.steps")
    provenance = {
        "settings": pretrain,
        "input_size": size,
        "stills_sha256": sha256(folder / "stills.csv"),
        "version": __version__,
    }
    backbone.save(path, network, {**log, **provenance})
    return log
