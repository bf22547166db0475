"""SpotFormer's network: the flow of face regions in one compact window -> what the window's middle step is.

Deng, Hayashi, Nagahara 2024, "SpotFormer" (arXiv 2407.20799), and its published code, whose shapes and widths these
are. Four temporal scales one after the other, each of which halves the steps by a convolution; three spatial ones:
regions, areas of the face (facial local graph pooling: the maximum over neighbouring regions), the face. 3,168,522
parameters at the published settings.
"""

import torch
from torch import nn
from torch.nn import functional as F

from fedn_pipeline.peers.frame_scores import OUTPUTS
from fedn_pipeline.peers.region_steps import KINDS


class Norm(nn.BatchNorm1d):
    """Batch normalisation over all but the last axis of `[..., C]`."""

    def forward(self, x):
        return super().forward(x.reshape(-1, x.shape[-1])).reshape(x.shape)


class Attention(nn.Module):
    """Multi-head self-attention over the last but one axis: `[..., L, C]` -> the same."""

    def __init__(self, settings):
        super().__init__()
        width, self.heads = settings["width"], settings["heads"]
        inner = self.heads * settings["head_width"]
        self.norm = Norm(width)
        self.project = nn.Linear(width, 3 * inner, bias=False)
        self.out = nn.Linear(inner, width)
        self.dropout = nn.Dropout(settings["dropout"])

    def forward(self, x):
        parts = self.project(self.norm(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = parts.movedim(-3, 0).transpose(-3, -2)  # [..., heads, L, head_width]
        weights = (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(-1)
        return self.dropout(self.out((self.dropout(weights) @ value).transpose(-3, -2).flatten(-2)))


class Block(nn.Module):
    """Attention and feed-forward layers with residual connections: `[..., L, C]` -> the same."""

    def __init__(self, settings):
        super().__init__()
        width, hidden, dropout = settings["width"], settings["feed_forward"], settings["dropout"]
        self.attention = Attention(settings)
        self.forward_layers = nn.Sequential(
            Norm(width), nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.attention(x)
        return x + self.dropout(self.forward_layers(x))


class Pool(nn.Module):
    """Facial local graph pooling: nodes `[B, V, T, C]` -> the maximum over each area, `[B, areas, T, C]`.

    `sizes`: nodes of each area, which follow each other.
    """

    def __init__(self, sizes, width):
        super().__init__()
        self.sizes, self.norm = sizes, Norm(width)

    def forward(self, x):
        return torch.stack([area.amax(1) for area in self.norm(x).split(self.sizes, dim=1)], dim=1)


class Shorten(nn.Module):
    """A convolution of stride 2 over time: `[B, V, T, C]` -> about half of T."""

    def __init__(self, width, kernel, padding):
        super().__init__()
        self.norm = Norm(width)
        self.convolution = nn.Conv1d(width, width, kernel, stride=2, padding=padding, bias=False)

    def forward(self, x):
        found = self.convolution(self.norm(x).flatten(0, 1).transpose(1, 2))
        return found.transpose(1, 2).unflatten(0, x.shape[:2])


class SpotFormer(nn.Module):
    """Flow `[B, window, regions, 2]` -> outputs `[B, kinds, OUTPUTS]` (logits) and embeddings `[B, width]`.

    `settings` is section `spotformer`; regions are numbered as in the cache.
    """

    def __init__(self, settings):
        super().__init__()
        width, areas = settings["width"], settings["areas"]
        sizes = [len(area) for area in areas]
        self.register_buffer("order", torch.tensor([region for area in areas for region in area]))
        self.register_buffer("area", torch.tensor([n for n, size in enumerate(sizes) for _ in range(size)]))
        self.embed, self.norm = nn.Linear(2, width), Norm(width)
        self.step_place = nn.Parameter(torch.randn(settings["window"], width))
        self.area_place = nn.Parameter(torch.randn(len(areas), width))
        self.dropout = nn.Dropout(settings["dropout"])
        self.spatial = nn.ModuleList(Block(settings) for _ in range(2))
        self.pools = nn.ModuleList([Pool(sizes, width), Pool([len(areas)], width)])
        self.temporal = nn.ModuleList(Block(settings) for _ in settings["paddings"])
        self.shorten = nn.ModuleList(Shorten(width, settings["kernel"], padding) for padding in settings["paddings"])
        self.head = nn.Linear(width, len(KINDS) * OUTPUTS)

    def forward(self, flow):
        x = self.norm(self.embed(flow[:, :, self.order].transpose(1, 2)))  # [B, V, T, C]
        x = self.dropout(x + self.step_place + self.area_place[self.area][:, None])
        for scale, (temporal, shorten) in enumerate(zip(self.temporal, self.shorten, strict=True)):
            if scale < len(self.spatial):
                x = self.spatial[scale](x.transpose(1, 2)).transpose(1, 2)
            x = temporal(x)
            if scale < len(self.pools):
                x = self.pools[scale](x)
            x = shorten(x)
        embedding = x.mean(2)[:, 0]  # one node, and at the published settings one step
        return self.head(embedding).unflatten(-1, (len(KINDS), OUTPUTS)), embedding


def contrastive(embeddings, classes, settings):
    """Supervised contrastive loss (Khosla et al. 2020) of embeddings `[n, C]` and classes `[n]`, one view each.

    Low where those of a class point the same way and others do not; 0 where no class has two.
    """
    units = F.normalize(embeddings.float(), dim=1)
    itself = torch.eye(len(units), dtype=torch.bool, device=units.device)
    similar = (units @ units.T / settings["temperature"]).masked_fill(itself, -torch.inf)
    alike = (classes[:, None] == classes) & ~itself
    partners = alike.sum(1)
    likelihood = (similar - similar.logsumexp(1, keepdim=True)).masked_fill(~alike, 0).sum(1) / partners.clamp(min=1)
    mean = likelihood.masked_fill(partners == 0, 0).sum() / (partners > 0).sum().clamp(min=1)
    return -settings["temperature"] / settings["base_temperature"] * mean
