"""The momentum update of the key encoder (arXiv 1911.05722, eq. 2)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


@torch.no_grad()
def momentum_update(key_parameters: Iterable[Tensor], query_parameters: Iterable[Tensor], momentum: float) -> None:
    """θ_k ← m θ_k + (1 − m) θ_q in place, pair by pair; m in [0, 1]: 1 keeps θ_k, 0 copies θ_q.

    Parameters only: batch norm's running statistics are the key encoder's own.
    """
    keys = list(key_parameters)
    # All tensors in a few launches: one by one, 161 small ones keep a GPU waiting.
    torch._foreach_mul_(keys, momentum)
    torch._foreach_add_(keys, list(query_parameters), alpha=1 - momentum)
