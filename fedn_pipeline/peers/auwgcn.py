"""AUW-GCN: action-unit-aware graph convolution over the flow of facial regions.

Yin et al. 2023, "AU-aware graph convolutional network for macro- and micro-expression spotting" (ICME). Reproduced: 12
regions of brows, nose and mouth, flow from step to step less the nose's; one graph convolution (2 -> 16) whose fixed
adjacency says which regions move together in labelled expressions; 1D convolutions over time; for both kinds of
expressions scores of onset, offset, apex and inside (39.2 k parameters); its focal losses, AdamW, windows of 256 steps,
and its rule from scores to intervals (frame_scores.py). Differs: the tables name no action units, so the adjacency
counts which regions move in the same training expressions (theirs: regions of the action units annotated for one), and
in the fold, not over the whole data set; a region that never moves keeps itself; weight decay takes biases and norms
too; windows overlap; lengths and scaling come from the training subjects; a video is scored whole, and not only its 5
best intervals are kept, for the threshold decides. A kind without training expressions has no outputs.

Own protocol: apex score above 0.5, the best 5 intervals of a kind in a video (its code: 6 for macro-expressions of
SAMM), each that hits some ground truth a true positive, so that several may count for one; its epoch, best on each test
subject, is not imitated: the last one counts.
"""

import numpy as np
import torch
from torch import nn

from fedn_pipeline.cascades.fit import decaying
from fedn_pipeline.cascades.fit import fit as train
from fedn_pipeline.peers import frame_scores, habits, region_steps
from fedn_pipeline.peers.task import Failed, Spotter


def co_movement(regions, ids, truth, others, moves):
    """Adjacency `[R, R]` float32, rows of sum 1: how often two regions move in the same expression of the videos `ids`.

    A region moves in an expression if its flow there is on average `moves` times as long as its usual one, outside of
    all annotated expressions. `truth`, `others`: of `region_steps.expressions`.
    """
    rows = {video: (truth[truth.video_id == video], others[others.video_id == video]) for video in ids}
    length = {video: np.linalg.norm(regions.flow[video], axis=-1) for video in ids}  # [n_steps, R]
    rest, during = [], []
    for video, (mine, further) in rows.items():
        valid, n = regions.valid[video], len(regions.valid[video])
        away = ~region_steps.inside(mine, n) & ~region_steps.inside(further, n)
        rest.append(length[video][valid & away])
        for row in mine.itertuples():
            seen = length[video][row.first : row.last + 1][valid[row.first : row.last + 1]]
            if len(seen):
                during.append(seen.mean(axis=0))
    rest = np.concatenate(rest)
    usual = rest.mean(axis=0) if len(rest) else np.zeros(rest.shape[1])
    moved = (np.stack(during) > moves * usual).astype(np.float32) if during else np.zeros((0, rest.shape[1]))
    counts = moved.T @ moved
    counts[np.diag_indices_from(counts)] += counts.sum(axis=1) == 0
    return (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)


class GraphConvolution(nn.Module):
    """Regions `[n, R, inputs]` -> `[n, R, outputs]`: `adjacency [R, R]` times values times weights, norm, ReLU."""

    def __init__(self, inputs, outputs, adjacency):
        super().__init__()
        self.register_buffer("adjacency", torch.as_tensor(adjacency))
        self.linear, self.norm = nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs)

    def forward(self, x):
        x = self.adjacency @ (x @ self.linear.weight.T) + self.linear.bias
        return torch.relu(self.norm(x.transpose(1, 2)).transpose(1, 2))


def temporal(inputs, outputs, kernel, dilation):
    """1D convolution over time that keeps the length: `[b, inputs, n]` -> `[b, outputs, n]`."""
    padding = dilation * (kernel // 2)
    return nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)


class NeighbourMaximum(nn.Module):
    """The higher of the values a step before and a step behind, `[b, channels, n]`."""

    def forward(self, x):
        if x.shape[-1] == 1:
            return x  # a single step has no neighbour
        x = nn.functional.pad(x, (1, 1), value=-torch.inf)
        return torch.maximum(x[..., :-2], x[..., 2:])


class Network(nn.Module):
    """Scaled flow of regions `[b, n, R, 2]` -> scores `[b, outputs, n]`.

    `adjacencies`: one graph convolution for each; `own`: graph_width, width, kernel, dilations; with `pool` a maximum
    over the steps before and behind follows the first two blocks.
    """

    def __init__(self, adjacencies, outputs, own, pool=False):
        super().__init__()
        n_regions, graph, width = len(adjacencies[0]), own["graph_width"], own["width"]
        inputs = [2, *[graph] * (len(adjacencies) - 1)]
        self.graph = nn.Sequential(*(GraphConvolution(i, graph, a) for i, a in zip(inputs, adjacencies, strict=True)))
        kernels = [(n_regions * graph, 1, 1), *((width, own["kernel"], dilation) for dilation in own["dilations"])]
        blocks = []
        for number, (channels, kernel, dilation) in enumerate(kernels):
            blocks += [temporal(channels, width, kernel, dilation), nn.BatchNorm1d(width), nn.ReLU()]
            if pool and number < len(kernels) - 1:
                blocks.append(NeighbourMaximum())
        self.blocks = nn.Sequential(*blocks)
        self.scores = temporal(width, outputs, own["kernel"], own["dilations"][-1])
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d):
                nn.init.kaiming_normal_(layer.weight)

    def forward(self, x):
        batch, n = x.shape[:2]
        x = self.graph(x.flatten(0, 1)).reshape(batch, n, -1)  # [b, n, R * graph]
        return self.scores(self.blocks(x.transpose(1, 2)))


def plain(network, flow):
    """The network's own decision: logits `[outputs, n]` of one video's flow `[n, R, 2]`."""
    return network(flow[None])[0]


def fit(task, inputs):
    """A Spotter, trained on the regions' flow."""

    def network(regions, truth, others, outputs):
        adjacency = co_movement(regions, task.parts.train, truth, others, task.own["moves"])
        return Network([adjacency], outputs, task.own)

    return learn(task, inputs, network, plain)


def learn(task, inputs, build, decide):
    """A Spotter of any graph network over regions: `build(regions, truth, others, outputs)` makes it from the training
    videos' expressions, `decide(network, flow)` gives a video's logits. Raises Failed if it cannot be trained."""
    own, parts, device = task.own, task.parts, task.device
    (path,) = inputs.motion.values()
    regions = region_steps.read(path, task.videos.video_id, parts.train, own["least"])
    every, others = (region_steps.expressions(table, task.videos) for table in (task.events, task.others))
    truth = every[every.video_id.isin(parts.train)]
    kinds = [kind for kind in region_steps.KINDS if (truth.kind == kind).any()]
    if not kinds:
        raise Failed("no expression of the training subjects")
    lengths = {kind: (rows["last"] - rows["first"] + 1) for kind, rows in truth.groupby("kind")}
    steps = region_steps.build(regions, parts.train, truth, others, kinds, own)
    held_out = region_steps.build(regions, parts.held_out, every, others, kinds, own)
    if not (steps.counted & (steps.inside > 0).any(dim=1)).any():
        raise Failed("no expression of the training subjects shows a face")
    network = build(regions, truth, others, len(kinds) * frame_scores.OUTPUTS).to(device)

    def loss_of(chosen, part=steps):
        rows = part.rows(torch.as_tensor(chosen))
        inner = slice(part.margin, part.margin + part.length)
        return frame_scores.loss(network(part.flow[rows].to(device))[..., inner], part, rows[:, inner], kinds, own)

    def curve():
        if not len(held_out.start):  # an empty batch would be one, too
            return {"held_out_loss": np.nan}
        batches = torch.arange(len(held_out.start)).split(own["batch_size"])
        return {"held_out_loss": float(np.mean([float(loss_of(chosen, held_out)) for chosen in batches]))}

    try:
        log = train(
            network, loss_of, len(steps.start), curve, own, task.generator, task.label, torch.optim.AdamW,
            decaying(own["learning_rate"], own["rate_decay"]),
        )  # fmt: skip
    except FloatingPointError as error:
        raise Failed(f"not converging: {error}") from error

    @torch.no_grad()
    def spot(video):
        flow = torch.from_numpy(regions.scaled(video)).float().to(device)
        spans, scores, heights, of_kind = [], [], [], []
        onset, offset, apex = frame_scores.probabilities(decide(network, flow).cpu())
        for k, kind in enumerate(kinds):
            found = frame_scores.intervals_of(
                onset[k], offset[k], apex[k], lengths[kind].min(), lengths[kind].mean(), own
            )
            for column, values in zip((spans, scores, heights), found, strict=True):
                column.append(values)
            of_kind.append(np.full(len(found[0]), k))
        spans, score, height, of_kind = map(np.concatenate, (spans, scores, heights, of_kind))
        return spans, score, frame_scores.own_scores(height, score, of_kind, own)

    def valid(video):
        starts = regions.valid[video]
        return starts | np.roll(starts, max(inputs.motion))  # a step shows a face if a flow starts or ends there

    habit = habits.Habit(
        f"apex above {own['apex_threshold']}, {own['most']} of a type in a video, every prediction that hits counts",
        threshold=own["apex_threshold"],
        every_hit=True,
    )
    n_parameters = sum(value.numel() for value in network.parameters())
    words = f"focal losses, {log[-1]['step']} steps of {min(own['batch_size'], len(steps.start))} windows"
    return Spotter(spot, valid, habit.as_dict(), network.state_dict(), log, words, n_parameters)
