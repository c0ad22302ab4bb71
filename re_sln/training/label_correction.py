"""LC: labels that the averaged model contradicts give way to its prediction (Noise against noise, Sec. 4)."""

from __future__ import annotations

import torch
from torch import Tensor


def correction_weights(losses: Tensor) -> Tensor:
    """w_i = (ℓ_i − min ℓ) / (max ℓ − min ℓ), the trust in a given label; the paper gives w to the larger losses.

    losses: ℓ, float [N], of the averaged model over the whole training set. Returns float [N] in [0, 1]; all losses
    equal: 0 everywhere.
    """
    low, high = losses.min(), losses.max()
    if low == high:
        return torch.zeros_like(losses)
    return (losses - low) / (high - low)  # [N]


def corrected_targets(weights: Tensor, given: Tensor, predictions: Tensor) -> Tensor:
    """ŷ_i = w_i · y_i + (1 − w_i) · prediction_i.

    weights: w, float [N] in [0, 1]; given: the original noisy labels as one-hot, float [N, C]; predictions: one-hot of
    the arg-max (CIFAR, Animal-10N) or the softmax (Clothing1M), float [N, C]. Returns float [N, C], rows summing to 1.
    """
    shares = weights.unsqueeze(1)  # [N, 1]
    return shares * given + (1 - shares) * predictions  # [N, C]
