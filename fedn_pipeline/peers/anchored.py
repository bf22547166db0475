"""What LSSNet and LGSNet share beside the network: segments, targets, loss, training, and spotting in a whole video.

Windows, targets and the encoding of intervals are those of FEDN, which took them from these two. Differs from both, for
fairness: an event that a window cuts is neither target nor background (theirs: background), distances of anchor-free
intervals pass softplus (ReLU, which may fall silent), the learning rate changes with every step instead of every epoch,
the gradient is clipped, and where training windows are few a batch is smaller (`least_batches`), or an epoch would be a
step or two. Sums over few matched anchors are divided by their number plus the windows of the batch in both branches
(LSSNet's code divides the anchor-based one by their number alone, which may be zero).
"""

import numpy as np
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from fedn_pipeline import compute, intervals
from fedn_pipeline.cascades.fit import fit as run
from fedn_pipeline.detection.candidates import missing_share
from fedn_pipeline.detection.nms import nms
from fedn_pipeline.files import InputError
from fedn_pipeline.model import geometry
from fedn_pipeline.peers.task import Failed, Spotter
from fedn_pipeline.training import data, loop, targets, windows
from fedn_pipeline.training.learn import EXPRESSION, LEARNT_FROM
from fedn_pipeline.training.targets import IGNORED

ROLES = ("train", "held_out", "test")


def segments(rows, frames, stride):
    """Rows that windows read `[B, rows, D]` -> segments `[B, N, D]`: means of `frames` rows, every `stride` rows.

    With 1 and 1 clips stay as they are.
    """
    return rows.unfold(1, frames, stride).mean(-1)


def assign(spans, grid, settings):
    """Targets of windows with one interval each, `spans [W, 2]` frames from the window's start."""
    annotations = [windows.Annotation(span[None], np.zeros(1, dtype=np.int64), np.zeros((0, 2))) for span in spans]
    if not annotations:
        return targets.Targets(torch.zeros(0, len(grid.point), 2), torch.zeros(0, len(grid.point), dtype=torch.int64))
    return targets.assign_all(annotations, grid, settings["model"], settings["training"])


def loss(raw, score, assigned, fits, grid, own):
    """Scalar to minimise: raw intervals `[B, P, 2]` and score logits `[B, P, 1]` against Targets.

    `fits [B, P]` bool: negatives whose interval is regressed all the same (LGSNet's pseudo intervals). Per branch: the
    focal loss of matched and unmatched, and the mean over matched intervals of 1 - IoU (anchor-free) or of smooth L1 of
    both the shift and the logarithm of the width (anchor-based).
    """
    positive, total = assigned.classes >= 0, raw.new_zeros(())
    predicted = geometry.decode(raw, grid)
    encoded = geometry.encode(assigned.intervals, grid)  # not finite where nothing is matched
    for free in (True, False):
        branch = grid.anchor_free == free
        counted, matched = (assigned.classes != IGNORED) & branch, (positive | fits) & branch
        focal = sigmoid_focal_loss(
            score[..., 0][counted], positive[counted].float(), own["focal_alpha"], own["focal_gamma"], reduction="sum"
        )
        total = total + focal / (matched.sum() + len(raw))
        if matched.any() and free:
            total = total + (1 - intervals.iou(predicted[matched], assigned.intervals[matched])).mean()
        elif matched.any():
            apart = F.smooth_l1_loss(raw[matched], encoded[matched], reduction="none", beta=own["smooth_beta"])
            total = total + apart.sum(-1).mean()
    return total


class Anchored:
    """A network with its data: `network`, `grid`, `loaded` (role: Videos), device, precision, section settings."""

    def __init__(self, task, inputs, network):
        self.own, self.windows, self.device = task.own, task.settings["windows"], task.device
        self.max_missing_share = task.settings["detections"]["max_missing_share"]
        self.precision = compute.choose_precision(task.settings["training"]["precision"], task.device)
        roles = {role: ids for role in ROLES if (ids := getattr(task.parts, role))}
        self.loaded = data.load(inputs.features, roles, task.device)
        train = self.loaded["train"]
        if train.row_stride not in (1, self.windows["segment_stride"]):
            raise InputError(f"{inputs.features}: a row every {train.row_stride} frames is neither frame nor segment")
        clips = train.row_stride > 1
        self.segment = (1, 1) if clips else (self.windows["segment_frames"], self.windows["segment_stride"])
        self.network = network(train.features.shape[1], self.windows, task.own).to(task.device)
        self.grid = geometry.build(self.windows, task.own)

    def __call__(self, features, index):
        """Raw intervals `[B, P, 2]` and score logits `[B, P, 1]` of windows that read the rows `index [B, rows]`."""
        with compute.autocast(self.precision, self.device):
            raw, score = self.network(segments(features[index].float(), *self.segment))
        return raw.float(), score.float()

    def _only(self, video):
        """The Videos of one video."""
        return next(part for part in self.loaded.values() if video in part.ids).of([video])

    def spot(self, video):
        """`(spans [k, 2], confidence [k], own [k])` of a video: all windows, NMS, the most confident ones."""
        videos = self._only(video)
        cut, index = videos.windows(self.windows, self.windows["test_stride"])
        grid, length = self.grid.to(self.device), geometry.window_frames(self.windows)
        spans, confidence = [], []
        with torch.no_grad():
            for part in index.split(self.own["batch_size"]):
                raw, score = self(videos.features, part)
                spans.append(geometry.decode(raw, grid).clamp(0, length).cpu().numpy().astype(np.float64))
                confidence.append(torch.sigmoid(score).cpu().numpy().astype(np.float64).ravel())
        spans, confidence = np.concatenate(spans), np.concatenate(confidence)
        spans = (cut.start[:, None, None] + cut.rate[:, None, None] * spans).reshape(-1, 2)
        spans = spans.clip(0, videos.n_steps[0])
        possible = np.flatnonzero((intervals.length(spans) > 0) & (confidence >= self.own["confidence_floor"]))
        # What lies in frames without a face takes nobody's place.
        possible = possible[missing_share(spans[possible], self.valid(video)) <= self.max_missing_share]
        kept = possible[nms(spans[possible], confidence[possible], self.own["nms_iou"])][: self.own["top"]]
        return spans[kept], confidence[kept], confidence[kept]

    def valid(self, video):
        return self._only(video).valid[video]


def fit(task, inputs, network, habit, background=None):
    """A trained Spotter. `network(width, windows, own)` gives the module.

    `background(assigned, grid, lengths, settings, generator)`: see `lgsnet.pseudo_intervals`; None: nothing. Raises
    Failed without a training window that holds an expression, and where the loss is not finite.
    """
    own, training = task.own, task.settings["training"]
    model = Anchored(task, inputs, network)
    events = {
        role: data.events_on_feature_axis(task.events, task.others, task.videos, model.loaded[role].ids, [EXPRESSION])
        for role in LEARNT_FROM
    }
    chosen = {**model.windows, "background_per_positive": own["background_per_positive"]}
    settings = {"windows": chosen, "model": own, "training": {**own, "held_out_windows": training["held_out_windows"]}}
    try:
        index, assigned, grid = loop.prepare(model.loaded["train"], events["train"], settings, task.generator)
    except InputError as error:
        raise Failed(str(error)) from error
    if not (assigned.classes >= 0).any():
        raise Failed("no prediction answers for any expression of the training subjects")
    fits = torch.zeros_like(assigned.classes, dtype=torch.bool)
    if background:
        lengths = np.concatenate([intervals.length(spans[codes >= 0]) for spans, codes in events["train"]])
        fits = background(assigned, grid, lengths, settings, task.generator)
    grid = grid.to(task.device)

    def loss_of(rows):
        rows = torch.from_numpy(rows).to(task.device)
        raw, score = model(model.loaded["train"].features, index[rows])
        return loss(raw, score, assigned.select(rows), fits[rows], grid, own)

    held_index, held_assigned, _ = loop.prepare(model.loaded["held_out"], events["held_out"], settings)

    def held_out():
        losses = []
        for part in torch.arange(len(held_index), device=task.device).split(own["batch_size"]):
            raw, score = model(model.loaded["held_out"].features, held_index[part])
            wanted = held_assigned.select(part)
            losses.append(float(loss(raw, score, wanted, torch.zeros_like(wanted.classes, dtype=bool), grid, own)))
        return {"held_out_loss": float(np.mean(losses))}

    batch = max(1, min(own["batch_size"], len(index) // own["least_batches"]))
    per_epoch = len(index) // batch
    schedule = {**own, "warmup_steps": own["warmup_epochs"] * per_epoch}
    n_steps = own["epochs"] * per_epoch
    try:
        log = run(
            model.network, loss_of, len(index), held_out, {**own, "batch_size": batch}, task.generator, task.label,
            rate=lambda step, _: loop.learning_rate(step, n_steps, schedule),
        )  # fmt: skip
    except FloatingPointError as error:
        raise Failed(f"not converging: {error}") from error
    words = f"{n_steps} steps of {batch} of {len(index)} windows, {model.precision}"
    parameters = sum(value.numel() for value in model.network.parameters())
    return Spotter(model.spot, model.valid, habit.as_dict(), model.network.state_dict(), log, words, parameters)
