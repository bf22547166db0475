"""1D convolutions of few positions as one matrix product: the same numbers to float rounding, sooner on the processor.

The product of the unfolded input with the weights is what a convolution is. The processor's own routine reorders the
weights first, which takes longer than the sum itself where a window has 2 to 64 positions (benchmarks/convolution.py).
"""

from torch import nn
from torch.nn import functional as F


class ProductConv1d(nn.Conv1d):
    """`nn.Conv1d` (`[B, inputs, L]` -> `[B, outputs, L / stride]`), computed on the processor as a matrix product."""

    def forward(self, x):
        if x.device.type != "cpu":
            return super().forward(x)
        (kernel,), (stride,), (padding,) = self.kernel_size, self.stride, self.padding
        read = F.pad(x, (padding, padding)).unfold(2, kernel, stride)  # [B, inputs, l, kernel]
        rows = read.transpose(1, 2).flatten(2)  # [B, l, inputs * kernel]
        return F.linear(rows, self.weight.flatten(1), self.bias).transpose(1, 2)


def conv1d(model, inputs, outputs, kernel, stride=1, bias=True):
    """A convolution with padding that keeps `ceil(L / stride)` positions, computed as `model["form"]` says."""
    kind = ProductConv1d if model["form"] == "fast" else nn.Conv1d
    return kind(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=bias)
