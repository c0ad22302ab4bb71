"""Batch norm over parts of the batch: what several processes do to each other's statistics, within one (ours)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SplitBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d that normalises `splits` consecutive parts of the batch apart; its state is the same.

    Input and output [N, C, H, W], N a multiple of `splits` in training. Running statistics move by the mean of the
    parts'. In eval mode it is nn.BatchNorm2d.
    """

    def __init__(self, channels: int, splits: int = 1) -> None:
        super().__init__(channels)
        self.splits = splits

    def forward(self, input: Tensor) -> Tensor:
        """Normalised, scaled, shifted."""
        if not self.training or self.splits == 1:
            return super().forward(input)
        means = self.running_mean.repeat(self.splits, 1)  # type: ignore[union-attr, operator]  # [splits, C]
        variances = self.running_var.repeat(self.splits, 1)  # type: ignore[union-attr, operator]  # [splits, C]
        parts = [
            functional.batch_norm(part, mean, variance, self.weight, self.bias, True, self.momentum or 0.0, self.eps)
            for part, mean, variance in zip(input.chunk(self.splits), means, variances, strict=True)
        ]
        with torch.no_grad():
            self.running_mean.copy_(means.mean(dim=0))  # type: ignore[union-attr, operator]
            self.running_var.copy_(variances.mean(dim=0))  # type: ignore[union-attr, operator]
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr, operator]
        return torch.cat(parts)
