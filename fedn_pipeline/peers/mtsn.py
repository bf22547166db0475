"""MTSN, multi-temporal stream network: two optical flows of each step, over a short and a long gap, give its score.

Liong, Liong, See, Chan 2022, "MTSN: A Multi-Temporal Stream Network for Spotting Facial Macro- and Micro-Expression
with Hard and Soft Pseudo-labels" (FME workshop, ACM MM), as its published code has it. Reproduced: SOFTNet's three
convolutions for u, v and strain, with the same weights for both gaps; one hidden layer joins them; 66 209 parameters.
A step's hard label is 1 in an expression, its soft one rises to 1 at the apex and falls again; squared errors against
both, 0.7 and 0.3; as many steps without expression as with one. Scores are smoothed over an expression's length of each
type, peaks at least that far apart are expressions; a micro-expression's has to exceed the macro-expressions' score.
Differs: DIS flow of the aligned crop, divided by the training steps' standard deviation (SOFTNet: TV-L1 of regions of
interest, stretched to [0, 1] picture by picture). k: half the mean macro and half the mean micro length (the code: the
latter and 1); where one type is annotated, half and a quarter of its mean length. The ends of an interval hang on its
peak (`edge`) instead of on the threshold, so that a fold's threshold moves none; micro and macro scores are compared at
the same step (theirs stand k_macro - k_micro apart). Where 10 epochs are few batches, training goes on for as many as
they are on CAS(ME)^2 (`least_steps`).

Own protocol: smoothed score above 0.7 (CAS(ME)^2); videos without ground truth do not count, for its code drops them.
"""

import math

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d
from torch import nn
from torch.nn import functional as F

from fedn_pipeline import intervals
from fedn_pipeline.cascades import fit as small_fit
from fedn_pipeline.cascades import str_windows
from fedn_pipeline.cascades.gap import half_length
from fedn_pipeline.cascades.samples import of_table
from fedn_pipeline.cascades.str_network import BATCH, in_batches
from fedn_pipeline.peers import curves, habits, needs
from fedn_pipeline.peers.task import Failed, Spotter


class Stream(nn.Module):
    """Pictures of u, v and strain `[B, 3, side, side]` -> `[B, features]`."""

    def __init__(self, settings):
        super().__init__()
        kernel = settings["kernel"]
        self.of_channel = nn.ModuleList(nn.Conv2d(1, n, kernel, padding="same") for n in settings["filters"])
        self.pool, self.merged_pool = nn.MaxPool2d(settings["pool"]), nn.MaxPool2d(settings["merged_pool"])

    def forward(self, pictures):
        # The three in one, whose kernels are zero for the others' channels: twice as fast as one after the other.
        layers, (height, width) = self.of_channel, self.of_channel[0].kernel_size
        kernels = torch.block_diag(*[layer.weight.flatten(1) for layer in layers]).unflatten(1, (-1, height, width))
        biases = torch.cat([layer.bias for layer in layers])
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        maps = self.pool(F.conv2d(pictures, kernels, biases, padding="same"))
        return self.merged_pool(F.relu(maps)).flatten(1)


class Network(nn.Module):
    """Pictures `[B, 2, 3, side, side]`, of the shorter and of the longer gap -> score `[B]` in [0, 1]."""

    def __init__(self, settings):
        super().__init__()
        self.register_buffer("scale", torch.ones(2, 3))  # standard deviations over the training steps
        self.stream = Stream(settings)  # both gaps share it
        side = settings["side"] // settings["pool"] // settings["merged_pool"]
        self.head = nn.Sequential(
            nn.Linear(2 * sum(settings["filters"]) * side**2, settings["hidden"]),
            nn.ReLU(),
            nn.Linear(settings["hidden"], 1),
            nn.Sigmoid(),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def features(self, pictures):
        """`[B, 2, features]`, what each of the two streams makes of its own gap."""
        scaled = pictures.float() / self.scale[..., None, None]
        return self.stream(scaled.flatten(0, 1)).unflatten(0, (-1, 2))

    def forward(self, pictures):
        return self.head(self.features(pictures).flatten(1))[:, 0]


class Motion:
    """The flow caches of the shorter and the longer gap as pictures of `side` px, read as needed: flow is large."""

    def __init__(self, paths, ids, side):
        self.caches, self.side = [str_windows.load(path, ids) for path in paths], side

    def steps(self, video):
        """Which steps of a video start a flow over both gaps `[n_steps]` bool."""
        return self.caches[0].motion[video].valid & self.caches[1].motion[video].valid

    def pictures(self, video, steps):
        """`[len(steps), 2, 3, side, side]` float16 of the flows that start at some steps of a video."""
        found = torch.empty(len(steps), 2, 3, self.side, self.side, dtype=torch.float16)
        for stream, flow in enumerate(self.caches):
            for first in range(0, len(steps), BATCH):
                part = flow.pictures(video, steps[first : first + BATCH])
                size = (self.side, self.side)
                found[first : first + BATCH, stream] = F.interpolate(part, size, mode="bilinear", antialias=True)
        return found

    def pictures_of(self, windows):
        """The same for Windows, `[n, 2, 3, side, side]`; each video is read once."""
        found = torch.empty(len(windows.start), 2, 3, self.side, self.side, dtype=torch.float16)
        for name in dict.fromkeys(windows.video):
            rows = np.flatnonzero(windows.video == name)
            found[torch.from_numpy(rows)] = self.pictures(name, windows.start[rows])
        return found


def pseudo_labels(spans, apexes, n):
    """A video's hard and soft label of every step `[n]` float32.

    `spans [e, 2]` half-open and `apexes [e]` on the 30 fps axis; NaN: the middle of the expression. Hard: 1 inside.
    Soft: 1 at the apex, falling with the distance to it to 0 at the first and the last step.
    """
    steps, hard, soft = np.arange(n), np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.float32)
    for (start, end), apex in zip(spans, apexes, strict=True):
        inside = (steps >= start) & (steps < end)
        apex = (start + end - 1) / 2 if np.isnan(apex) else apex
        before, after = (steps - start) / max(1, apex - start), (end - 1 - steps) / max(1, end - 1 - apex)
        near = np.where(steps < apex, before, after).clip(0, 1)
        hard[inside], soft[inside] = 1, np.maximum(soft, near)[inside]
    return hard, soft


def labelled(task, motion, ids):
    """Every step of the videos `ids` with its hard label (Windows), and the soft labels `{video: [n_steps]}`.

    Steps of `task.others` alone are left out: neither expression nor background.
    """
    parts, soft = [], {}
    fps = task.videos.set_index("video_id").fps
    for video in ids:
        valid = motion.steps(video)
        labels = []
        for table in (task.events, task.others):
            table = table[table.video_id == video]
            apexes = table.apex.to_numpy(dtype=np.float64, na_value=np.nan) * intervals.FEATURE_FPS / fps[video]
            labels.append(pseudo_labels(of_table(table, task.videos).spans, apexes, len(valid)))
        (hard, soft[video]), (other, _) = labels
        start = np.flatnonzero(valid & ((hard == 1) | (other == 0)))
        parts.append((np.full(len(start), video, dtype=object), start, hard[start]))
    return str_windows.Windows(*(np.concatenate(column) for column in zip(*parts, strict=True))), soft


def train(network, task, motion):
    """Train `network`; rows of its learning curve. Raises Failed."""
    own = task.own

    def drawn(ids, generator):
        windows, soft = labelled(task, motion, ids)
        windows = str_windows.drawn(windows, own, generator)
        near = [soft[video][start] for video, start in zip(windows.video, windows.start, strict=True)]
        labels = torch.from_numpy(np.stack([windows.label, np.array(near, dtype=np.float32)], axis=1))
        return windows, motion.pictures_of(windows), labels

    windows, pictures, wanted = drawn(task.parts.train, task.generator)
    if not 0 < windows.label.sum() < len(windows.label):
        share = "all" if windows.label.sum() else "none"
        raise Failed(f"of the steps of the training videos {share} lie in expressions")
    network.scale.copy_(pictures.float().std(dim=(0, 3, 4)).clamp(min=torch.finfo(torch.float16).tiny))
    (apart,) = task.generator.spawn(1)  # held-out labels must not move the order of training
    _, held_out_pictures, held_out_wanted = drawn(task.parts.held_out, apart)
    weights = torch.tensor([own["hard_weight"], 1 - own["hard_weight"]])

    def error(score, labels):
        return ((score[:, None] - labels).square() * weights.to(score.device)).sum(dim=1).mean()

    def loss_of(chosen):
        chosen = torch.from_numpy(chosen)
        return error(network(pictures[chosen].to(task.device)), wanted[chosen].to(task.device))

    def curve():
        return {"held_out_loss": float(error(in_batches(network, held_out_pictures, task.device), held_out_wanted))}

    epoch = max(1, len(wanted) // own["batch_size"])  # steps
    recipe = {**own, "epochs": max(own["epochs"], math.ceil(own["least_steps"] / epoch))}
    try:
        return small_fit.fit(network, loss_of, len(wanted), curve, recipe, task.generator, task.label)
    except FloatingPointError as failure:
        raise Failed(f"not converging: {failure}") from failure


def spotted(score, halves, settings):
    """Intervals in a video's score `[n_steps]`: `(spans [k, 2] half-open, heights [k])`.

    `halves`: half the mean length of each type's expressions in steps, the longest first.
    """
    smooth = [uniform_filter1d(score, max(1, round(settings["smoothing"] * half)), mode="constant") for half in halves]
    spans, heights = [np.zeros((0, 2))], [np.zeros(0)]
    for number, (half, curve) in enumerate(zip(halves, smooth, strict=True)):
        peaks, reach = curves.peaks_of(curve, settings["peak_distance"] * half), round(settings["reach"] * half)
        ends = np.array([_ends(curve, peak, reach, settings["edge"]) for peak in peaks]).reshape(-1, 2)
        length = intervals.length(ends) / half
        keep = (length > settings["shortest"]) & (length < settings["longest"])
        if number:
            keep &= curve[peaks] - smooth[0][peaks] > settings["difference"]
        spans.append(ends[keep])
        heights.append(curve[peaks][keep])
    return np.concatenate(spans), np.concatenate(heights)


def _ends(curve, peak, reach, share):
    """Half-open interval around a peak, to the lowest values above `share` of it within `reach` steps on each side."""
    first = max(0, peak - reach)
    near = curve[first : peak + reach + 1]
    low = np.where(near > share * curve[peak], near, np.inf)
    return first + np.argmin(low[: peak - first + 1]), peak + np.argmin(low[peak - first :]) + 1


def fit(task, inputs):
    """A Spotter. Raises Failed where there are not two gaps, nothing to learn, or training does not converge."""
    own, parts, gaps = task.own, task.parts, sorted(inputs.motion)
    if len(gaps) != 2:
        raise Failed(f"two streams need flow over two gaps, there are {gaps}: give flow.gaps more")
    ids = [*parts.train, *parts.held_out, *parts.test]
    motion = Motion([inputs.motion[gap] for gap in gaps], ids, own["side"])
    known = task.events[task.events.video_id.isin(parts.train)]
    halves = sorted((half_length(task.videos, table) for table in needs.by_type(known)), reverse=True)
    network = Network(own).to(task.device)
    log = train(network, task, motion)

    def spot(video):
        steps = np.flatnonzero(motion.steps(video))
        score = np.zeros(len(motion.steps(video)))
        if len(steps):
            score[steps] = in_batches(network, motion.pictures(video, steps), task.device).numpy()
        spans, heights = spotted(score, halves, own)
        return spans, heights, heights

    def valid(video):
        starts = motion.caches[0].motion[video].valid
        return starts | np.roll(starts, gaps[0])  # a step shows a face if a flow starts or ends there

    threshold = own["own_threshold"]
    words = f"smoothed score above {threshold}, videos without ground truth not counted"
    habit = habits.Habit(words, threshold, annotated_only=True).as_dict()
    length = f"{own['epochs']} epochs, at least {own['least_steps']} batches"
    trained = f"{length}; flow over {gaps[0]} and {gaps[1]} steps"
    state = {name: value.cpu() for name, value in network.state_dict().items()}
    return Spotter(spot, valid, habit, state, log, trained, sum(value.numel() for value in network.parameters()))
