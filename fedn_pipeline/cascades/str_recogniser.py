"""STR's recogniser: the flow that leads to an interval's apex -> its emotion, on the spotter's frozen streams.

Follows Liong, See, Chan 2023 (the network: `str_network.py`). Differs: theirs learns from the flow between onset and
annotated apex, and names a spotted interval by the majority of the windows (0.1 s each) from k', half an expression,
before its peak to the peak. Ours learns from and looks at one window, the cached flow over a fold's gap that ends at
the apex found by `apex_window`, so nothing is computed per interval and training sees what testing sees; jittered
copies of the training intervals stand beside the exact ones.
"""

import numpy as np
import torch
from torch.nn import functional as F

from fedn_pipeline.cascades import str_windows
from fedn_pipeline.cascades.fit import accuracy_row, fit
from fedn_pipeline.cascades.samples import Samples, jittered
from fedn_pipeline.cascades.str_network import in_batches


def _streams(network, flow, samples, device):
    """Frozen streams `[n, filters, s, s]` of the samples' apex windows, on the CPU."""
    pictures = flow.pictures_of(samples.video, str_windows.apex_windows(flow, samples))
    return in_batches(network.eval().streams, pictures, device)


def _with_copies(samples, settings, generator):
    """The samples and `jittered_copies` of each, with moved ends."""
    copies = [jittered(samples.spans, settings["jitter"], generator) for _ in range(settings["jittered_copies"])]
    times = 1 + len(copies)
    spans = np.concatenate([samples.spans, *copies])
    return Samples(np.tile(samples.video, times), spans, np.tile(samples.labels, times))


def train(network, flow, samples, held_out, settings, generator, device, label):
    """Train the recogniser of `network`, spotter and streams untouched; the learning curve's rows."""
    samples = _with_copies(samples, settings, generator)
    seen, labels = _streams(network, flow, samples, device), torch.from_numpy(samples.labels)
    held_out_seen, wanted = _streams(network, flow, held_out, device), torch.from_numpy(held_out.labels)

    def loss_of(chosen):
        chosen = torch.from_numpy(chosen)
        return F.cross_entropy(network.recogniser(seen[chosen].to(device)), labels[chosen].to(device))

    def curve():
        return accuracy_row(in_batches(network.recogniser, held_out_seen, device), wanted)

    recipe = {**settings, "epochs": settings["recogniser_epochs"]}
    return fit(network.recogniser, loss_of, len(samples), curve, recipe, generator, label)


def scores(network, flow, samples, device):
    """Logits `[n, C]` float32 of the intervals."""
    seen = _streams(network, flow, samples, device)
    return in_batches(network.recogniser, seen, device).numpy()
