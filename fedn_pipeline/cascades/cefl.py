"""CEFLNet as a cascade's recogniser: trained on a fold's ground-truth intervals, then it names spotted ones.

The network and its source are in `cefl_network.py`. Differs from the paper: the frozen backbone's cached features by
default, trained end to end only on demand (`cefl.end_to_end`); clips are placed in proportion to the interval (there:
75 consecutive frames of a video cut to one expression), frames of a clip are drawn one from each fifth of it, and the
training intervals' ends are jittered, because those of spotted intervals are not exact. Its authors' code warms the
learning rate up linearly, lowers it along a cosine and keeps the epoch that is best on the test set; here the rate is
constant and the last step is the model.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18

from fedn_pipeline import intervals
from fedn_pipeline.cascades import frames as sources
from fedn_pipeline.cascades.cefl_network import CEFLNet
from fedn_pipeline.cascades.fit import accuracy_row, fit
from fedn_pipeline.cascades.samples import jittered
from fedn_pipeline.features import backbone


def positions(spans, settings, generator=None):
    """Steps `[n, clips, frames_per_clip]` float64 at which the intervals `spans [n, 2]` are looked at.

    Clips of equal length overlap by `clip_overlap` and fill the interval; each frame lies in the middle of its share of
    the clip, or anywhere in it with a generator. `settings` is section `cefl`.
    """
    clips, per_clip = settings["clips"], settings["frames_per_clip"]
    hop = 1 - settings["clip_overlap"]
    shape = (len(spans), clips, per_clip)
    inside = generator.uniform(size=shape) if generator is not None else np.full(shape, 0.5)
    of_clip = (np.arange(per_clip) + inside) / per_clip  # share of the clip
    share = (np.arange(clips)[:, None] * hop + of_clip) / ((clips - 1) * hop + 1)
    return spans[:, :1, None] + share * intervals.length(spans)[:, None, None]


class Recogniser:
    """CEFLNet, what it sees of each step, and the intervals' emotions; `settings`: sections cefl and backbone."""

    def __init__(self, frames, n_classes, settings, device, weights=None):
        """`weights`: the backbone's file, to train it end to end on crops; without it `frames` hold its features."""
        encoder = _trainable_backbone(weights) if weights is not None else None
        width = frames.values.shape[1] if encoder is None else backbone.WIDTH
        self.network = CEFLNet(width, n_classes, settings["cefl"], encoder).to(device)
        self.frames, self.settings, self.device, self.n_classes = frames, settings["cefl"], device, n_classes
        mean, std = (torch.tensor(settings["backbone"][name], device=device) for name in ("mean", "std"))
        self.mean, self.std = mean.view(3, 1, 1), std.view(3, 1, 1)

    def _logits(self, video, spans, generator=None):
        steps = np.floor(positions(spans, self.settings, generator)).astype(np.int64)
        rows = [
            self.frames.row[name][at.clip(0, self.frames.steps(name) - 1)]
            for name, at in zip(video, steps, strict=True)
        ]
        values = self.frames.values[torch.from_numpy(np.stack(rows)).to(self.device)]
        if values.dtype == torch.uint8:
            values = (values.float() / 255 - self.mean) / self.std
        return self.network(values)

    def train(self, samples, held_out, generator, label):
        """Train on `samples`; the learning curve's rows, with loss and accuracy on the `held_out` samples."""
        labels = torch.from_numpy(samples.labels).to(self.device)

        def loss_of(chosen):
            spans = jittered(samples.spans[chosen], self.settings["jitter"], generator)
            return F.cross_entropy(self._logits(samples.video[chosen], spans, generator), labels[chosen])

        def curve():
            return accuracy_row(torch.from_numpy(self.scores(held_out)), torch.from_numpy(held_out.labels))

        return fit(self.network, loss_of, len(samples), curve, self.settings, generator, label)

    @torch.no_grad()
    def scores(self, samples):
        """Logits `[n, C]` float32 of the intervals."""
        self.network.eval()
        size, parts = self.settings["batch_size"], [np.zeros((0, self.n_classes), dtype=np.float32)]
        for first in range(0, len(samples), size):
            part = slice(first, first + size)
            parts.append(self._logits(samples.video[part], samples.spans[part]).float().cpu().numpy())
        return np.concatenate(parts)


def _trainable_backbone(weights):
    """The ResNet18 in `weights` with its batch norms, ready to be trained on. Raises InputError as `backbone.load`."""
    backbone.load(weights)  # checks the file
    network = resnet18()
    network.fc = nn.Identity()
    tensors, _ = backbone.read(weights)
    network.load_state_dict({name: value for name, value in tensors.items() if not name.startswith("fc.")})
    return network


def load_frames(features_path, faces_folder, samples, videos, settings, device):
    """What the samples' videos look like: crops when `cefl.end_to_end`, else cached features."""
    if not settings["cefl"]["end_to_end"]:
        return sources.of_features(features_path, dict.fromkeys(samples.video), device)
    margin, side = settings["cefl"]["jitter"], settings["backbone"]["input_size"]
    return sources.of_crops(faces_folder, samples, videos, margin, side, device)
