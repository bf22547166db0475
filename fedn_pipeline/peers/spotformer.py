"""SpotFormer: a multi-scale spatio-temporal transformer on the flow of face regions in compact windows.

Deng, Hayashi, Nagahara 2024, "SpotFormer: Multi-scale spatio-temporal transformer for facial expression spotting"
(arXiv 2407.20799); its published code decided where the paper was not at hand. Reproduced: multi-resolution flow of
compact sliding windows (from the first of 17 steps to each of them: short spans and long ones, none longer than a
micro-expression); the network (spotformer_network.py; 3,168,522 parameters); onset, apex, offset and inside of macro-
and of micro-expressions for each step; focal losses, cross-entropy, supervised contrastive term; segments of 16 steps
that hold an expression, AdamW, rate 2e-4, 4 % less each epoch, batch 32. An interval is an apex with the likeliest
onset and offset half the shortest to half the mean length of the training expressions away, scored by the three's
product. Differs: the flow over a span is the sum of the cached flows from step to step, right to first order since
crops are aligned (theirs is computed for each span, from pictures), and nothing moves outside the video; contrasted
embeddings have length 1; a confidence is the product's cube root, which ranks alike; every apex is a candidate, not
those above 0.5 alone, since the threshold is chosen later; overlapping intervals of the two kinds leave one; a kind
that the run does not ask for is not trained.

Own protocol: apex probability above 0.5, at most 5 intervals of a kind in a video. Its code also takes, for each test
subject, the epoch that is best on him: not imitated, the last one counts.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from fedn_pipeline import compute, intervals
from fedn_pipeline.cascades.fit import fit as train
from fedn_pipeline.cascades.samples import of_table
from fedn_pipeline.detection.nms import nms
from fedn_pipeline.features import cache
from fedn_pipeline.peers import habits
from fedn_pipeline.peers.spotformer_network import (
    APEX,
    INSIDE,
    KINDS,
    OFFSET,
    ONSET,
    SpotFormer,
    contrastive,
    focal,
)
from fedn_pipeline.peers.task import Failed, Spotter

NEITHER = 2  # class of a step that is neither onset nor offset


def kind_of(expression_type):
    """Index into KINDS; an expression of no stated type counts as macro."""
    return KINDS.index(expression_type or KINDS[0])


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


def labels(table, videos, n, settings):
    """Targets of n steps of a video whose expressions are `table`: boundary `[n, kinds]` int64 (ONSET, OFFSET or
    NEITHER), apex and inside `[n, kinds]` float32, class `[n]` int64 (0: neutral, else 1 + kind)."""
    boundary = np.full((n, len(KINDS)), NEITHER)
    apex, inside = np.zeros((2, n, len(KINDS)), dtype=np.float32)
    steps, spans = np.arange(n), of_table(table, videos).spans
    fps = videos.set_index("video_id").fps
    for row, (start, end) in zip(table.itertuples(), spans, strict=True):
        kind = kind_of(row.expression_type)
        first, last = round(start), max(round(start), round(end) - 1)
        rate = intervals.FEATURE_FPS / fps[row.video_id]
        middle = (first + last) // 2 if pd.isna(row.apex) else int((row.apex + 0.5) * rate)
        near = settings[f"{KINDS[kind]}_boundary"]
        boundary[np.abs(steps - first) <= near, kind] = ONSET
        boundary[np.abs(steps - last) <= near, kind] = OFFSET
        away = np.abs(steps - middle)
        soft = np.exp(-((away / settings["apex_deviation"]) ** 2) / 2)
        apex[:, kind] = np.where(away <= near, np.maximum(apex[:, kind], soft), apex[:, kind])
        inside[first : last + 1, kind] = 1
    return boundary, apex, inside, np.where(inside.any(1), 1 + inside.argmax(1), 0)


@dataclass
class Samples:
    """Judged steps of some videos: windows `[r, window, R, 2]` and their targets (`labels`), r rows each; segments: the
    rows of each segment that holds an expression."""

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
    for video in ids:
        entry = cache.read(path, video)
        n = len(entry.valid)
        truth, others = (
            labels(table[table.video_id == video], task.videos, n, own) for table in (task.events, task.others)
        )
        judged = shown(entry.valid) & ((truth[-1] > 0) | (others[-1] == 0))
        moved = windows(entry.features, own["window"])
        for start in range(0, n, own["segment"]):
            steps = start + np.flatnonzero(judged[start : start + own["segment"]])
            if truth[-1][steps].any():
                parts.append([column[steps] for column in (moved, *truth)])
                segments.append(n_rows + np.arange(len(steps)))
                n_rows += len(steps)
    return Samples([torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)], segments)


def loss(outputs, embeddings, targets, kinds, settings):
    """The scalar to minimise: outputs `[b, kinds, OUTPUTS]` and embeddings `[b, width]` of b windows against `labels`;
    `kinds`: indices of those to learn."""
    boundary, apex, inside, classes = targets
    total = settings["contrastive_weight"] * contrastive(embeddings, classes, settings)
    for kind in kinds:
        name, logits = KINDS[kind], outputs[:, kind].float()
        of_kind = (
            settings[f"{name}_apex_weight"] * focal(logits[:, APEX], apex[:, kind], settings["apex_alpha"], settings)
            + settings["boundary_weight"] * F.cross_entropy(logits[:, : NEITHER + 1], boundary[:, kind])
            + settings["inside_weight"] * focal(logits[:, INSIDE], inside[:, kind], settings["inside_alpha"], settings)
        )
        total = total + settings[f"{name}_weight"] * of_kind
    return total


def proposals(onset, offset, apex, reach, floor):
    """Intervals around the apexes of one kind: `(spans [k, 2] half-open, score [k], apex [k])`.

    `onset`, `offset`, `apex` `[n]`: probabilities; `reach`: least and most steps from an apex to either end; an apex
    counts above `floor`. The score is the product of the three at their places.
    """
    at, away = np.flatnonzero(apex > floor), np.arange(reach[0], reach[1] + 1)
    before, after = (at[:, None] - away).clip(min=0), (at[:, None] + away).clip(max=len(apex) - 1)
    first = np.take_along_axis(before, onset[before].argmax(1)[:, None], 1)[:, 0]
    last = np.take_along_axis(after, offset[after].argmax(1)[:, None], 1)[:, 0]
    kept = (onset[first] > offset[first]) & (offset[last] > onset[last])
    first, last, at = first[kept], last[kept], at[kept]
    spans = np.stack([first, last + 1], axis=-1).astype(np.float64)
    return spans, onset[first] * offset[last] * apex[at], apex[at]


def own_scores(apex, score, kinds, settings):
    """What the published protocol keeps: apex probability `[k]`, 0 beyond the `most` best-scored of a kind."""
    kept = np.zeros(len(apex))
    for kind in np.unique(kinds):
        candidates = np.flatnonzero((kinds == kind) & (apex > settings["apex_threshold"]))
        best = candidates[np.argsort(-score[candidates], kind="stable")[: settings["most"]]]
        kept[best] = apex[best]
    return kept


def reaches(events, videos):
    """`(least, most)` steps from an apex to either end: half the shortest and half the mean length of `events`."""
    lengths = intervals.length(of_table(events, videos).spans)
    least = max(1, int(lengths.min() // 2))
    return least, max(least, int(lengths.mean() // 2))


def fit(task, inputs):
    """A Spotter trained on the training subjects. Raises Failed without a sample, and if training does not converge."""
    own, path = task.own, inputs.motion[min(inputs.motion)]
    truth = task.events[task.events.video_id.isin(task.parts.train)]
    of_kinds = truth.groupby(truth.expression_type.map(kind_of))
    reach = {kind: reaches(events, task.videos) for kind, events in of_kinds}
    training, held_out = (samples(task, path, ids) for ids in (task.parts.train, task.parts.held_out))
    if not training.segments:
        raise Failed("no window to learn from: no training subject shows a face during an expression")
    precision = compute.choose_precision(task.settings["training"]["precision"], task.device)
    network = SpotFormer(own).to(task.device)

    def outputs(moved):
        with compute.autocast(precision, task.device):
            return network(moved.float().to(task.device))

    def loss_of_rows(moved, *targets):
        return loss(*outputs(moved), [target.to(task.device) for target in targets], reach, own)

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
            own["learning_rate_decay"],
        )
    except FloatingPointError as error:
        raise Failed(f"not converging: {error}") from error

    @torch.no_grad()
    def probabilities(video):
        """Probabilities `[n, kinds, (onset, offset, apex)]` of each step of a video, 0 where no face is."""
        entry = cache.read(path, video)
        steps = np.flatnonzero(shown(entry.valid))
        moved = torch.from_numpy(windows(entry.features, own["window"])[steps])
        found = np.zeros((len(entry.valid), len(KINDS), 3))
        if len(steps):
            logits = torch.cat([outputs(part)[0].float().cpu() for part in moved.split(own["predict_batch_size"])])
            boundary = logits[..., : NEITHER + 1].softmax(-1)
            found[steps] = torch.stack([boundary[..., ONSET], boundary[..., OFFSET], logits[..., APEX].sigmoid()], -1)
        return found

    def spot(video):
        found = probabilities(video)
        floor = task.settings["detections"]["confidence_floor"]
        parts = [(*proposals(*found[:, kind].T, ends, floor), kind) for kind, ends in reach.items()]
        spans, score, apex = (np.concatenate(column) for column in list(zip(*parts, strict=True))[:3])
        kinds = np.concatenate([np.full(len(part[1]), part[3]) for part in parts])
        kept = nms(spans, score, own["nms_iou"])
        spans, score, apex, kinds = spans[kept], score[kept], apex[kept], kinds[kept]
        return spans, score ** (1 / 3), own_scores(apex, score, kinds, own)

    habit = habits.Habit(
        f"apex above {own['apex_threshold']}, {own['most']} of a type in a video", threshold=own["apex_threshold"]
    ).as_dict()
    words = f"SpotFormer's losses, {log[-1]['step']} steps of {own['batch_size']} segments, {precision}"
    state = {name: value.cpu() for name, value in network.state_dict().items()}
    n_parameters = sum(value.numel() for value in network.parameters())
    return Spotter(spot, lambda video: shown(cache.read_valid(path, video)), habit, state, log, words, n_parameters)
