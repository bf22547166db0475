"""Segments of many windows at once, each distinct one computed once: what `fedn` and `segments` say, with less work.

Windows overlap: at test a segment lies in 8 of them. It is known by the rows it reads, so equal rows are found by
`torch.unique`, embedded once and handed to each window by index. That holds for every rate, and at a video's end, where
a window repeats the last frame and its segments differ. Besides the identities of `SegmentFusion.forward`, two more:
averaging over keys commutes with the value projection, which therefore follows it, once per segment; and the key's bias
adds the same to all of a query's scores, which the softmax cancels.
"""

import math

import torch
from torch.nn import functional as F


def embed(network, features, index):
    """`[B, N, E]`, what `network` makes of `features[index]` up to its segments, to float rounding.

    features `[all rows, D]`, float16 or float32; index `[B, rows of a window]`.
    """
    fusion = network.segments
    frames, stride = (1, 1) if network.clips else (fusion.frames, fusion.stride)
    read = index.unfold(1, frames, stride)  # [B, N, T]: the rows that each segment reads
    distinct, segment = torch.unique(read.flatten(0, 1), dim=0, return_inverse=True)  # [n, T], [B*N]
    rows, place = torch.unique(distinct, return_inverse=True)  # [F], [n, T]
    x = network.input_norm(features[rows].float())
    embedded = fusion(x)[place[:, 0]] if network.clips else _fuse(fusion, x, place)
    return embedded.index_select(0, segment).unflatten(0, read.shape[:2])


def _fuse(fusion, x, place):
    """`SegmentFusion` for distinct frames x `[F, D]` and segments of the frames place `[n, T]`: `[n, E]`."""
    (n, t), width = place.shape, x.shape[1]
    held = x.index_select(0, place.flatten()).view(n, t, width)
    if not fusion.attend:
        mean = held.mean(1)
        return fusion.reduce(torch.cat([mean, mean], dim=-1))
    heads, depth = fusion.heads, width // fusion.heads
    (query, key, value), (query_bias, _, value_bias) = fusion.qkv.weight.chunk(3), fusion.qkv.bias.chunk(3)
    by_head = (place.unsqueeze(1) * heads + torch.arange(heads, device=x.device).view(-1, 1)).flatten()  # [n*heads*T]

    def of_segments(projected):  # [F, D] -> [n, heads, T, depth], in one copy
        return projected.view(-1, depth).index_select(0, by_head).view(n, heads, t, depth)

    q, k = of_segments(F.linear(x, query, query_bias)), of_segments(F.linear(x, key))
    weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(depth), dim=-1).mean(-2)  # [n, heads, T]
    attended = (weights @ held).transpose(0, 1)  # [heads, n, D]
    pooled = torch.bmm(attended, value.view(heads, depth, width).transpose(1, 2)).transpose(0, 1)  # [n, heads, depth]
    g = fusion.out(pooled.reshape(n, width) + value_bias)
    share = torch.softmax((x @ fusion.score.weight[0, :width])[place], dim=-1)  # [n, T]
    fused = (share.unsqueeze(1) @ held).squeeze(1)
    return fusion.reduce(torch.cat([fused, g], dim=-1))
