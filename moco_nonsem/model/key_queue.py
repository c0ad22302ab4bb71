"""The queue of earlier keys (arXiv 1911.05722, section 3.2): first in, first out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def initial_queue(dim: int, length: int, seed: int) -> Tensor:
    """Random unit columns, float32 [D, K]."""
    random = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(dim, length, generator=random), dim=0)


@torch.no_grad()
def enqueue(queue: Tensor, pointer: Tensor, keys: Tensor) -> None:
    """Puts keys [N, D] in the place of the N oldest columns of queue [D, K], in place, and moves the pointer on.

    pointer: int64 [1], the column of the oldest key; after the last column comes the first.
    """
    # Places are computed on the device: reading the pointer would make it wait.
    columns = (pointer + torch.arange(len(keys), device=queue.device)) % queue.shape[1]  # [N]
    queue.index_copy_(1, columns, keys.T.to(queue.dtype))
    pointer.copy_((pointer + len(keys)) % queue.shape[1])
