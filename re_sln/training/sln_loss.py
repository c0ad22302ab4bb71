"""Stochastic label noise: Gaussian noise on the one-hot target, drawn anew at every step (Noise against noise, Sec. 3).

In the paper's words: ỹ = y + σ z with z ~ N(0, I), and the cross-entropy of the network's softmax with ỹ.
"""

from __future__ import annotations

import torch
from torch import Tensor


def stochastic_targets(targets: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """ỹ = y + σ z.

    targets: float [B, C], one-hot or corrected labels; noise: z, float [B, C]; sigma: σ ≥ 0, 0 leaves the targets.
    Returns float [B, C], any sign: no probabilities any more.
    """
    # DEVIATION: the rerun has float64 targets, with float32 noise, by numpy's default; here both are float32.
    return targets + sigma * noise  # [B, C]


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """ℓ_i = −Σ_c ỹ_ic log softmax(f(x_i))_c.

    logits: f(x), float [B, C]; targets: ỹ, float [B, C]. Returns float [B], one loss an example, negative where the
    noise makes it so; their mean is the loss of the batch.
    """
    log_probabilities = torch.log_softmax(logits, dim=1)  # [B, C]
    return -(targets * log_probabilities).sum(dim=1)  # [B]
