"""Tan et al.: size, shapes, causal graph, what the counterfactual takes away, learning, failure."""

import numpy as np
import pytest
import torch
from peers import moving_regions as planted
from torch import nn

from fedn_pipeline.peers import auwgcn, causal, region_steps, tan, task

OWN = planted.settings("tan")["tan"]
SAME = np.full((12, 12), 1 / 12, dtype=np.float32)
ALPHA, CONDITIONS = OWN["causal_alpha"], OWN["causal_conditions"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = tmp_path_factory.mktemp("regions") / "gap1.h5"
    planted.write(made)
    return made


@pytest.fixture(scope="module")
def learnt(path):
    made, inputs = planted.job(path, "tan", epochs=60)
    return made, tan.fit(made, inputs)


class Biased(nn.Module):
    """A network that, whatever it sees, is for some outputs."""

    def __init__(self, network, bias):
        super().__init__()
        self.network, self.bias = network, bias

    def forward(self, x):
        return self.network(x) + self.bias[:, None]


def test_size_and_shapes():
    network = auwgcn.Network([SAME, SAME], 10, OWN, pool=True)
    assert sum(value.numel() for value in network.parameters()) == pytest.approx(39_552, rel=0.02)
    shapes = []
    for layer in (network.graph[0], network.graph[1], network.blocks):
        layer.register_forward_hook(lambda _, given, found: shapes.append(tuple(found.shape)))
    assert network(planted.random_flow(2, 100)).shape == (2, 10, 100)
    assert shapes == [(200, 12, 16), (200, 12, 16), (2, 64, 100)]
    x = torch.randn(2, 3, 9)
    assert (auwgcn.NeighbourMaximum()(x) == nn.MaxPool1d(2, stride=1, padding=1, dilation=2)(x)).all()


@torch.no_grad()
def test_debiasing_removes_what_the_bias_branch_alone_predicts():
    torch.manual_seed(0)
    flow, usual = planted.random_flow(80), torch.zeros(80, 12, 2)
    network = auwgcn.Network([SAME, SAME], 10, OWN, pool=True).eval()
    for block in network.blocks:
        if isinstance(block, nn.BatchNorm1d):
            nn.init.normal_(block.bias)  # so that the network has an opinion on no motion at all
    biased = Biased(network, torch.linspace(-5, 5, 10)).eval()
    plain, debiased = auwgcn.plain(biased, flow), tan.counterfactual(biased, flow)
    assert auwgcn.plain(biased, usual).abs().max() > 1
    assert (tan.counterfactual(biased, usual) == 0).all()  # the bias branch alone decides nothing
    assert debiased == pytest.approx(tan.counterfactual(network, flow), abs=1e-5)  # nor does it beside a motion
    assert (plain - auwgcn.plain(network, flow)).abs().max() == pytest.approx(5)
    assert debiased + auwgcn.plain(biased, usual) == pytest.approx(plain, abs=1e-5) and debiased.abs().max() > 0.1


def test_the_learnt_prior_is_what_it_takes_away(learnt):
    spotter = learnt[1]
    network = auwgcn.Network([SAME, SAME], 5, OWN, pool=True)
    network.load_state_dict(spotter.state)
    usual = torch.zeros(100, 12, 2)
    with torch.no_grad():
        before, after = (
            torch.softmax(decide(network.eval(), usual)[:3, 50], 0) for decide in (auwgcn.plain, tan.counterfactual)
        )
    assert before[2] > 0.5  # without motion it says neither onset nor offset, as most steps' labels do
    assert after == pytest.approx(torch.full((3,), 1 / 3))


def test_causes_of_planted_variables():
    a, b, c, d, e = np.random.default_rng(0).normal(size=(5, 4000))
    effect = a + b + 0.5 * c
    found = causal.causes(np.stack([a, b, effect, effect + 0.5 * d, e], axis=1), ALPHA, CONDITIONS)
    assert np.argwhere(found).tolist() == [[0, 2], [1, 2], [2, 3]]  # two causes, their effect, and its effect; no other
    chain = np.stack([a, a + b, a + b + c], axis=1)
    assert not causal.causes(chain, ALPHA, CONDITIONS).any()  # its direction cannot be told
    assert not causal.causes(chain[:5], ALPHA, CONDITIONS).any()  # nor anything from so little
    assert not causal.causes(np.zeros((100, 3)), ALPHA, CONDITIONS).any()


def test_the_graph_has_causes_beside_what_moves_together(path):
    videos, events = planted.tables()
    truth = region_steps.expressions(events, videos)
    train = planted.IDS[:3]
    regions = region_steps.read(path, planted.IDS, train, OWN["least"])
    together = auwgcn.co_movement(regions, train, truth, truth.iloc[:0], OWN["moves"])
    noise = np.random.default_rng(0).normal(size=(3, planted.STEPS, 2)).astype(np.float32)
    for video in train:  # the mouth's parts: two of their own, and one that both cause
        moving = regions.flow[video]
        moving[:, 8], moving[:, 9] = noise[:2]
        moving[:, 10] = noise[0] + noise[1] + 0.3 * noise[2]
    found = tan.graph(regions, train, truth, together, OWN)
    assert found.sum(axis=1) == pytest.approx(np.ones(12))
    assert (found[10, [8, 9]] > together[10, [8, 9]]).all() and (found[[8, 9], 10] <= together[[8, 9], 10]).all()
    elsewhere = {**regions.flow, "v3": regions.flow["v3"] * 0 + 7}
    others = region_steps.Regions(elsewhere, regions.valid, regions.mean, regions.deviation)
    assert (tan.graph(others, train, truth, together, OWN) == found).all()  # the test subject has no part in it


def test_learns_its_own_training_videos(learnt):
    made, spotter = learnt
    assert planted.own_f1(spotter, made) >= 0.9
    assert spotter.log[-1]["loss"] < spotter.log[0]["loss"] / 2


def test_failure_says_why(path):
    with pytest.raises(task.Failed, match="not converging: tan: step"):
        tan.fit(*planted.job(path, "tan", epochs=5, learning_rate=1e30))
