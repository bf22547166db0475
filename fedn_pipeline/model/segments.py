"""Segment attention and fusion: T frames become one vector (Fang et al. 2025; model.md, "Segment attention").

`forward` computes what `literal` says, with less work, by three identities: each distinct frame is projected once
although 4 segments hold it; averaging over queries commutes with the value sum and the output projection; and the
score-weighted sum commutes with the linear reduction. The two agree to float rounding (tests/model/test_segments.py).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


class SegmentFusion(nn.Module):
    """Frames `[B, frames, D]` -> segment embeddings `[B, N, E]`; segment n holds frames `S*n ... S*n + T-1`."""

    def __init__(self, windows, model):
        super().__init__()
        self.frames, self.stride = windows["segment_frames"], windows["segment_stride"]
        self.heads, self.attend = model["attention_heads"], model["segment_attention"]
        self.width = width = model["feature_width"]
        if self.attend:
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
            self.score = nn.Linear(2 * width, 1)
        self.reduce = nn.Linear(2 * width, model["embedding"])

    def forward(self, x):
        segments = x.unfold(1, self.frames, self.stride).transpose(2, 3)  # [B, N, T, D], a view
        if not self.attend:
            mean = segments.mean(2)
            return self.reduce(torch.cat([mean, mean], dim=-1))
        (batch, n), t, width = segments.shape[:2], self.frames, self.width
        qkv = self.qkv(x).unfold(1, t, self.stride)  # [B, N, 3D, T]: each distinct frame projected once
        q, k, v = qkv.reshape(batch, n, 3, self.heads, width // self.heads, t).unbind(2)
        weights = torch.softmax(q.transpose(-1, -2) @ k / math.sqrt(width // self.heads), dim=-1)
        pooled = v @ weights.mean(-2).unsqueeze(-1)  # averaged over queries before the values: [B, N, heads, d, 1]
        g = self.out(pooled.reshape(batch, n, width))
        # The score's part for g is the same for all T frames, so the softmax over T cancels it.
        frame_score = x @ self.score.weight[0, :width]
        share = torch.softmax(frame_score.unfold(1, t, self.stride), dim=-1)  # [B, N, T]
        fused = (share.unsqueeze(2) @ segments).squeeze(2)  # summed before the reduction: [B, N, D]
        return self.reduce(torch.cat([fused, g], dim=-1))

    def literal(self, x):
        """The paper's wording, every segment for itself: the reference for `forward` and for counting FLOPs."""
        segments = x.unfold(1, self.frames, self.stride).transpose(2, 3).contiguous()  # [B, N, T, D]
        batch, n, t, width = segments.shape
        if self.attend:
            q, k, v = self.qkv(segments).view(batch * n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
            attended = F.scaled_dot_product_attention(q, k, v)  # [B*N, heads, T, d]
            g = self.out(attended.transpose(1, 2).reshape(batch, n, t, width)).mean(2)
        else:
            g = segments.mean(2)
        both = torch.cat([segments, g.unsqueeze(2).expand_as(segments)], dim=-1)  # [B, N, T, 2D]
        if self.attend:
            share = torch.softmax(self.score(both), dim=2)  # [B, N, T, 1]
        else:
            share = torch.full((batch, n, t, 1), 1 / t, device=x.device, dtype=x.dtype)
        return (share * self.reduce(both)).sum(2)
