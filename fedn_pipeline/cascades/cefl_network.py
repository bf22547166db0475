"""CEFLNet: clips of an interval's frames -> its emotion (Liu et al. 2022, "Clip-aware expressive feature learning for
video-based facial expression recognition", Information Sciences 598).

Reproduced: per frame a ResNet18's 512 values; a clip-based feature encoder, self-attention over a clip's frames and
then a weighted mean of every frame joined with the clip's maximum (local-global relation); emotional intensity
activation, one softmax weight per clip; the maximum over the weighted clips goes into a three-layer classifier.
Differs: frame values pass a LayerNorm, and clip weights are rescaled by the number of clips, so that both start at the
scale that the layers expect (as FEDN's window attention does here).
"""

import torch
from torch import nn


class CEFLNet(nn.Module):
    """Frames `[B, clips, frames, width]`, or pictures `[B, clips, frames, 3, side, side]` with an encoder, to logits
    `[B, C]`; `encoder` maps pictures `[n, 3, side, side]` to `[n, width]`. `settings` is section `cefl`."""

    def __init__(self, width, n_classes, settings, encoder=None):
        super().__init__()
        self.encoder = encoder
        self.scale = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(
            width, settings["attention_heads"], dropout=settings["attention_dropout"], batch_first=True
        )
        self.attention_dropout = nn.Dropout(settings["attention_dropout"])
        self.norm = nn.LayerNorm(width)
        self.frame_dropout = nn.Dropout(settings["frame_dropout"])
        self.frame_weight = nn.Linear(2 * width, 1)
        self.reduce = nn.Linear(2 * width, width)
        self.clip_weight = nn.Linear(width, 1, bias=False)
        first, second = settings["classifier_widths"]
        self.classifier = nn.Sequential(
            nn.Linear(width, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(),
            nn.Dropout(settings["classifier_dropout"]), nn.Linear(second, n_classes),
        )  # fmt: skip

    def forward(self, frames):
        n, clips, per_clip = frames.shape[:3]
        if self.encoder is not None:
            frames = self.encoder(frames.flatten(0, 2))
        x = self.scale(frames.reshape(n * clips, per_clip, -1))

        # clip-based feature encoder
        attended, _ = self.attention(x, x, x, need_weights=False)
        attended = self.norm(x + self.attention_dropout(attended))
        whole = attended.amax(1, keepdim=True)  # the clip
        joined = torch.cat([x, whole.expand_as(x)], dim=-1)  # [n * clips, frames, 2 * width]
        weight = torch.sigmoid(self.frame_weight(self.frame_dropout(joined)))
        clip = self.reduce((joined * weight).sum(1) / weight.sum(1)).reshape(n, clips, -1)

        # emotional intensity activation
        intensity = self.clip_weight(clip).softmax(dim=1)  # [n, clips, 1]
        return self.classifier((clip * intensity * clips).amax(1))
