"""Tan et al. 2023: AUW-GCN with a causal graph of the regions and a counterfactual decision.

What is known: "Causal-Ex: Causal graph-based micro and macro expression spotting" (Tan, Rajanala, Pal, Phan, Ong; arXiv
2503.09098; taken to be the paper that FEDN's table calls Tan et al.) in its abstract, and the network it published.
Reproduced: the first of two graph convolutions has, beside which regions move together, directed edges between regions
found by causal discovery on their flow; maxima over the steps around behind the first two convolutions over time (39.6
k parameters, as the published network); training, labels and intervals of AUW-GCN; and a decision debiased by a
counterfactual: the total effect of the regions' motion less the natural direct effect of the bias branch, which is what
the network says of the graph alone, with the usual motion (the training subjects' mean) in place of the video's. With
Y(x, g) the logits for motion x and graph g: TE = Y(x, g) - Y(x*, g*), NDE = Y(x*, g) - Y(x*, g*), and the decision is
their difference Y(x, g) - Y(x*, g), without any further training.

Not known, and so our choice: the exact form and weight of the counterfactual (only the abstract of the group's
"Causally uncovering bias in video micro-expression recognition", ICASSP 2024, describes one), and the training's
settings. Differs: the graph is found once per fold, from the flow in the training subjects' expressions (the published
code finds one in each batch, at test in the test subject's own), by PC instead of FCI, which also looks for hidden
common causes; an effect takes in its causes.

Own protocol: as AUW-GCN's, on whose code the published code is built.
"""

import numpy as np
import torch

from fedn_pipeline.peers import auwgcn, causal


def graph(regions, ids, truth, together, own):
    """Adjacency `[R, R]` float32, rows of sum 1: `together` (of `co_movement`) and, for each region, what causes it.

    Causes are looked for in the flow of the videos `ids` during expressions; `own`: causal_alpha, causal_conditions.
    """
    moving = [
        regions.scaled(row.video_id)[row.first : row.last + 1][regions.valid[row.video_id][row.first : row.last + 1]]
        for row in truth[truth.video_id.isin(ids)].itertuples()
    ]
    values = np.concatenate(moving)  # [n, R, 2]
    samples = values.transpose(0, 2, 1).reshape(-1, values.shape[1])  # u and v are observations of one region
    found = causal.causes(samples, own["causal_alpha"], own["causal_conditions"])
    summed = together + found.T
    return (summed / summed.sum(axis=1, keepdims=True)).astype(np.float32)


def counterfactual(network, flow):
    """Debiased logits `[outputs, n]` of one video's scaled flow `[n, R, 2]`, in which 0 is the usual motion."""
    return auwgcn.plain(network, flow) - auwgcn.plain(network, torch.zeros_like(flow))


def fit(task, inputs):
    """A Spotter, trained on the regions' flow."""

    def network(regions, truth, others, outputs):
        together = auwgcn.co_movement(regions, task.parts.train, truth, others, task.own["moves"])
        both = [graph(regions, task.parts.train, truth, together, task.own), together]
        return auwgcn.Network(both, outputs, task.own, pool=True)

    return auwgcn.learn(task, inputs, network, counterfactual)
