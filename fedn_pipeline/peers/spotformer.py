"""SpotFormer: a multi-scale spatio-temporal transformer on the flow of face regions in compact windows.

Deng, Hayashi, Nagahara 2024, "SpotFormer: Multi-scale spatio-temporal transformer for facial expression spotting"
(arXiv 2407.20799); its published code decided where the paper was not at hand. Reproduced: multi-resolution flow of
compact sliding windows (from the first of 17 steps to each of them: short spans and long ones, none longer than a
micro-expression); the network (spotformer_network.py; 3,168,522 parameters); onset, apex, offset and inside of macro-
and of micro-expressions for each step, with the labels, focal losses and rule from scores to intervals of AUW-GCN's
code (region_steps.py, frame_scores.py), on which theirs is built; supervised contrastive term; segments of 16 steps
that hold an expression, AdamW, rate 2e-4, 4 % less each epoch, batch 32. Differs: the flow over a span is the sum of
the cached flows from step to step, right to first order since crops are aligned (theirs is computed for each span,
from pictures), and nothing moves outside the video; contrasted embeddings have length 1; a confidence is the cube root
of the score, which ranks alike; every apex is a candidate, not those above 0.5 alone, since the threshold is chosen
later; overlapping intervals of the two kinds leave one; lengths come from the training subjects; a kind that the run
does not ask for is not trained.

Own protocol: apex probability above 0.5, at most 5 intervals of a kind in a video; here of what NMS has left of all
candidates, where its code removes those of up to 0.5 before. Its code also takes, for each test subject, the epoch that
is best on him: not imitated, the last one counts.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from fedn_pipeline import compute
from fedn_pipeline.cascades.fit import decaying
from fedn_pipeline.cascades.fit import fit as train
from fedn_pipeline.detection.nms import nms
from fedn_pipeline.features import cache
from fedn_pipeline.peers import habits, region_steps
from fedn_pipeline.peers.frame_scores import APEX, INSIDE, binary, intervals_of, own_scores, probabilities
from fedn_pipeline.peers.region_steps import KINDS
from fedn_pipeline.peers.spotformer_network import SpotFormer, contrastive
from fedn_pipeline.peers.task import Failed, Spotter


def shown(starts):
    """Steps that show a face `[n]`: a flow starts there (`starts`), or ends there, a step later."""
    return starts | np.roll(starts, 1)


def windows(flow, length):
    """Multi-resolution flow `[n, length, R, 2]` float16: in the window around each of n steps, from its first step to
    each of its steps. `flow [n, R, 2]` leads from each step to the next one; beyond the ends nothing moves."""
    before = length // 2
    padded = np.pad(flow.astype(np.float32), ((before, length), (0, 0), (0, 0)))
    place = np.concatenate([np.zeros_like(padded[:1]), padded.cumsum(axis=0)])  # against the first step of all
    first = np.arange(len(flow))
    return (place[first[:, None] + np.arange(length)] - place[first][:, None]).astype(np.float16)


@dataclass
class Samples:
    """Judged steps of some videos. columns, r rows each: windows `[r, window, R, 2]`; boundary, apex and inside
    `[r, K]` of K kinds (region_steps.labels); class `[r]` (0: neutral, else 1 + kind). segments: the rows of each
    segment that holds an expression."""

    columns: list
    segments: list

    def draw(self, chosen, stride, generator):
        """Columns of segments `chosen`: every `stride`-th row of each, from a random one on."""
        rows = [self.segments[number] for number in chosen]
        rows = [part[generator.integers(min(stride, len(part))) :: stride] for part in rows]
        return [column[np.concatenate(rows)] for column in self.columns]


def samples(task, path, ids):
    """Samples of the videos `ids`; steps without a face, or in an event that is no ground truth, are not judged."""
    own, parts, segments, n_rows = task.own, [], [], 0
    truth, others = (region_steps.expressions(table, task.videos) for table in (task.events, task.others))
    for video in ids:
        entry = cache.read(path, video)
        n, mine = len(entry.valid), truth[truth.video_id == video]
        of_kinds = [
            region_steps.labels(mine[mine.kind == kind], n, own["boundary_reach"][kind], own["apex_width"])
            for kind in KINDS
        ]
        boundary, apex, inside = (np.stack(column, axis=1) for column in zip(*of_kinds, strict=True))
        classes = np.where(inside.any(axis=1), 1 + inside.argmax(axis=1), 0)
        judged = shown(entry.valid) & ((classes > 0) | ~region_steps.inside(others[others.video_id == video], n))
        columns = (windows(entry.features, own["window"]), boundary, apex, inside, classes)
        for start in range(0, n, own["segment"]):
            steps = start + np.flatnonzero(judged[start : start + own["segment"]])
            if classes[steps].any():
                parts.append([column[steps] for column in columns])
                segments.append(n_rows + np.arange(len(steps)))
                n_rows += len(steps)
    return Samples([torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)], segments)


def loss(outputs, embeddings, targets, kinds, own):
    """The scalar to minimise: outputs `[b, K, OUTPUTS]` and embeddings `[b, width]` of b windows against the columns of
    Samples; `kinds`: names of those to learn."""
    boundary, apex, inside, classes = targets
    total = own["contrastive_weight"] * contrastive(embeddings, classes, own)
    gamma, smoothing = own["focal_gamma"], own["label_smoothing"]
    for kind in kinds:
        k, weights = KINDS.index(kind), own["loss_weights"][kind]
        logits = outputs[:, k].float()
        parts = {
            "boundary": F.cross_entropy(logits[:, :APEX], boundary[:, k]),
            "apex": binary(logits[:, APEX], apex[:, k], own["focal_alpha"]["apex"], gamma, smoothing).mean(),
            "inside": binary(logits[:, INSIDE], inside[:, k], own["focal_alpha"]["inside"], gamma, smoothing).mean(),
        }
        total = total + sum(weights[name] * part for name, part in parts.items())
    return total


def fit(task, inputs):
    """A Spotter trained on the training subjects. Raises Failed without a sample, and if training does not converge."""
    own, path = task.own, inputs.motion[min(inputs.motion)]
    truth = region_steps.expressions(task.events[task.events.video_id.isin(task.parts.train)], task.videos)
    lengths = {kind: rows["last"] - rows["first"] + 1 for kind, rows in truth.groupby("kind")}
    training, held_out = (samples(task, path, ids) for ids in (task.parts.train, task.parts.held_out))
    if not training.segments:
        raise Failed("no window to learn from: no training subject shows a face during an expression")
    precision = compute.choose_precision(task.settings["training"]["precision"], task.device)
    network = SpotFormer(own).to(task.device)

    def outputs(moved):
        with compute.autocast(precision, task.device):
            return network(moved.float().to(task.device))

    def loss_of_rows(moved, *targets):
        return loss(*outputs(moved), [target.to(task.device) for target in targets], lengths, own)

    def curve():
        n = sum(map(len, held_out.segments))
        rows = np.unique(np.linspace(0, n - 1, min(n, task.settings["training"]["held_out_windows"])).astype(np.int64))
        parts = np.split(rows, range(own["predict_batch_size"], len(rows), own["predict_batch_size"])) if n else []
        sums = [len(part) * float(loss_of_rows(*(column[part] for column in held_out.columns))) for part in parts]
        return {"held_out_loss": sum(sums) / n_rows if (n_rows := len(rows)) else np.nan}

    try:
        log = train(
            network,
            lambda chosen: loss_of_rows(*training.draw(chosen, own["window_stride"], task.generator)),
            len(training.segments),
            curve,
            own,
            task.generator,
            task.label,
            torch.optim.AdamW,
            decaying(own["learning_rate"], own["learning_rate_decay"]),
        )
    except FloatingPointError as error:
        raise Failed(f"not converging: {error}") from error

    @torch.no_grad()
    def scores(video):
        """Probabilities `[3, K, n]` (onset, offset, apex) of each step of a video, 0 where no face is."""
        entry = cache.read(path, video)
        steps, found = np.flatnonzero(shown(entry.valid)), np.zeros((3, len(KINDS), len(entry.valid)))
        moved = torch.from_numpy(windows(entry.features, own["window"])[steps])
        if len(steps):
            logits = torch.cat([outputs(part)[0].float().cpu() for part in moved.split(own["predict_batch_size"])])
            found[..., steps] = probabilities(logits.flatten(1).T)
        return found

    def spot(video):
        onset, offset, apex = scores(video)
        every = {**own, "apex_threshold": task.settings["detections"]["confidence_floor"]}
        parts = []
        for kind, steps in lengths.items():
            k = KINDS.index(kind)
            found = intervals_of(onset[k], offset[k], apex[k], steps.min(), steps.mean(), every)
            parts.append((*found, np.full(len(found[1]), k)))
        spans, score, height, kinds = (np.concatenate(column) for column in zip(*parts, strict=True))
        kept = nms(spans, score, own["nms_iou"])  # of both kinds one stays
        spans, score, height, kinds = spans[kept], score[kept], height[kept], kinds[kept]
        return spans, score ** (1 / 3), own_scores(height, score, kinds, own)

    habit = habits.Habit(
        f"apex above {own['apex_threshold']}, {own['most']} of a type in a video", threshold=own["apex_threshold"]
    ).as_dict()
    words = f"SpotFormer's losses, {own['epochs']} epochs in batches of {own['batch_size']} segments, {precision}"
    state = {name: value.cpu() for name, value in network.state_dict().items()}
    n_parameters = sum(value.numel() for value in network.parameters())
    return Spotter(spot, lambda video: shown(cache.read_valid(path, video)), habit, state, log, words, n_parameters)
