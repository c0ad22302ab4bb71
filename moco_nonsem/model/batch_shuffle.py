"""The batch shuffle over all processes (arXiv 1911.05722, section 3.3): batch norm must not tell keys from queries."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from common.pytorch.transfer import to_device
from common.random_streams import generator


def shuffle_order(seed: int, step: int, view: int, batch_size: int) -> np.ndarray:
    """int64 [B], a permutation of the whole batch: the same in every process, another one for every step and view."""
    # DEVIATION: the authors' first process draws from its global generator and sends the order; here (seed, step, view)
    # give it, so that every process knows it and a run can be repeated.
    return generator(seed, "batch shuffle", step, view).permutation(batch_size)


def inverse_order(order: np.ndarray) -> np.ndarray:
    """int64 [B] with `x[order][inverse_order(order)] == x`."""
    return np.argsort(order, kind="stable")


@torch.no_grad()
def gather(values: Tensor, world_size: int) -> Tensor:
    """This process's [b, …] → all processes' [B, …], ordered by rank. No gradient passes."""
    if world_size == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(world_size)]
    dist.all_gather(parts, values.contiguous())
    return torch.cat(parts)


def shuffled_share(values: Tensor, order: np.ndarray, rank: int, world_size: int) -> Tensor:
    """This process's part [b, …] of the whole batch in its shuffled order; values: its part as it was, [b, …]."""
    share = len(order) // world_size
    return gather(values, world_size)[to_device(order[rank * share : (rank + 1) * share], values.device)]


def unshuffled(values: Tensor, order: np.ndarray, world_size: int) -> Tensor:
    """All of the batch, [B, …], as it was before the shuffle; values: this process's shuffled part, [b, …]."""
    return gather(values, world_size)[to_device(inverse_order(order), values.device)]
