"""An operation on some images of a batch, in place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from common.pytorch.transfer import to_device


def apply_to(images: Tensor, chosen: np.ndarray, operation: Callable[..., object], *factors: np.ndarray) -> None:
    """`operation(some, *their factors)` changes the chosen ones of `images`, [B, 3, H, W]; the others stay.

    chosen: bool [B], on the host, so that a GPU need not wait; factors: float32 [B] each, handed over as [n, 1, 1, 1].
    """
    indices = np.flatnonzero(chosen)
    if not len(indices):
        return
    some = [to_device(factor[indices], images.device)[:, None, None, None] for factor in factors]
    if len(indices) == len(images):
        operation(images, *some)
        return
    index = to_device(indices, images.device)
    part = images.index_select(0, index)  # [n, 3, H, W]
    operation(part, *some)
    images.index_copy_(0, index, part)
