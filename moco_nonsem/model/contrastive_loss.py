"""The loss of MoCo with non-semantic negatives (arXiv 2110.14189; MoCo: arXiv 1911.05722, eq. 1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def contrastive_logits(
    query: Tensor, key: Tensor, nonsem: Sequence[Tensor], queue: Tensor, alpha: float, temperature: float
) -> Tensor:
    """Logits [ q·k | q·queue | α(q·t_1) … α(q·t_S) ] / T, float [N, 1+K+S]; column 0 is the right one.

    query, key, each of nonsem: unit vectors [N, D]; queue: unit columns [D, K]. α > 0 weighs the non-semantic
    negatives: it scales their cosine, before the temperature T > 0. Without nonsem (S = 0) this is plain MoCo.
    """
    positive = (query * key).sum(dim=1, keepdim=True)  # [N, 1]
    negatives = query @ queue  # [N, K]
    weighted = [alpha * (query * view).sum(dim=1, keepdim=True) for view in nonsem]  # S of [N, 1]
    return torch.cat([positive, negatives, *weighted], dim=1) / temperature  # [N, 1+K+S]


def contrastive_losses(logits: Tensor) -> Tensor:
    """Cross-entropy of each example with class 0 as its target: logits [N, 1+K+S] → [N], each ≥ 0."""
    target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)  # [N]
    return functional.cross_entropy(logits, target, reduction="none")


def contrast_accuracy(logits: Tensor, best: int) -> Tensor:
    """Whether the key is among the `best` largest of an example's logits: [N, 1+K+S] → bool [N].

    Equal logits count for the key.
    """
    return (logits[:, 1:] > logits[:, :1]).sum(dim=1) < best  # [N]
