"""Segment attention in three forms: what the count of multiplications allows, and what is measured.

    python benchmarks/segment_attention.py [--quick]

A training step (forward and backward of a random batch) and inference over whole videos at the test stride, for the
segments alone and for the whole network. Forms: `literal`, `per_window` and `fast` (model.form). MACs of all
are counted in the very calls that are timed. The bound on a speed-up is the ratio of MACs.
"""

import numpy as np
import torch
from common import alternate, options, report

from fedn_pipeline import compute, config, cost
from fedn_pipeline.model import fedn, shared_segments
from fedn_pipeline.training import data

VIDEO = 3000  # frames: the mean of CAS(ME)^3
AIM = 0.8  # share of the speed-up that the count allows


def videos(number, width):
    """`number` videos of random features."""
    features = torch.randn(number * VIDEO, width, generator=torch.Generator().manual_seed(0))
    return data.Videos(tuple(map(str, range(number))), np.full(number, VIDEO), features, {})


def segments(network, features, index):
    """The segments alone, `[B, N, E]`, as `FEDN.of_windows` computes them."""
    if network.form == "fast":
        return shared_segments.embed(network, features, index)
    x = network.input_norm(features[index])
    return network.segments.literal(x) if network.form == "literal" else network.segments(x)


def whole(network, features, index):
    """The whole network's two outputs as one tensor, `[B, P, 2 + C]`."""
    return torch.cat(network.of_windows(features, index), dim=-1)


def build(form):
    """The network in one form, always with the same weights."""
    torch.manual_seed(0)
    return fedn.build(config.validate({"model": {"form": form}}), classes=4)[0]


def distinct_share(settings, batch, draws=20):
    """Prints the share of a random batch's segments that are distinct, by the number of a fold's training windows."""
    windows = settings["windows"]
    print(f"Distinct segments in a random batch of {batch} windows, share of all:")
    for number in (4, 64, 512):
        _, index = videos(number, 1).windows(windows, windows["train_stride"])
        generator, shares = np.random.default_rng(0), []
        for _ in range(draws):
            first = index[generator.choice(len(index), batch, replace=False), :: windows["segment_stride"]]
            first = first[:, : windows["segments"]]
            shares.append(len(first.unique()) / first.numel())
        print(f"  {len(index):7} training windows: {np.mean(shares):.3f}")


def main():
    quick = options(__doc__.splitlines()[0]).quick
    settings = config.validate({})
    windows, training = settings["windows"], settings["training"]
    compute.prepare(0, training["threads"])
    networks = {form: build(form) for form in ("literal", "per_window", "fast")}
    batch = 16 if quick else training["batch_size"]
    distinct_share(settings, batch)

    many, one = videos(64, settings["model"]["feature_width"]), videos(1, settings["model"]["feature_width"])
    _, train_index = many.windows(windows, windows["train_stride"])
    train_index = train_index[np.random.default_rng(0).choice(len(train_index), batch, replace=False)]
    _, test_index = one.windows(windows, windows["test_stride"])
    if quick:
        test_index = test_index[: training["predict_batch_size"]]

    def step(part, form):
        part(networks[form], many.features, train_index).square().mean().backward()
        networks[form].zero_grad()

    @torch.no_grad()
    def predict(part, form):
        for index in test_index.split(training["predict_batch_size"]):
            part(networks[form], one.features, index)

    for work, run in ((f"training step of {batch}", step), (f"inference, {len(test_index)} windows", predict)):
        for part in (segments, whole):
            calls = {form: lambda f=form, p=part, r=run: r(p, f) for form in networks}
            count = {form: cost.flop(call) / 2 for form, call in calls.items()}
            for form in ("literal",) if quick else ("per_window", "literal"):
                ours, other = alternate(calls["fast"], calls[form], 2 if quick else 5)
                bound = count[form] / count["fast"]
                print(
                    f"GMAC: {count[form] / 1e9:.1f} {form}, {count['fast'] / 1e9:.1f} fast; GMAC/s: "
                    f"{count[form] / other / 1e9:.1f}, {count['fast'] / ours / 1e9:.1f}; the count allows "
                    f"{bound:.2f}x, measured {other / ours:.2f}x: {other / ours / bound:.0%} of it"
                )
                name = f"segment attention, {work}, {part.__name__}: fast against {form}"
                report(name, ours, other, AIM * bound, "s")


if __name__ == "__main__":
    main()
