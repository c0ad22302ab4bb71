"""Numbers of the host on their way to a GPU that computes meanwhile. Needs torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """The array's numbers on `device`, on a CPU in the array's own memory. Nobody waits for a GPU.

    For what a step needs anew: copied from pageable memory, it would wait until all that was asked for is done.
    """
    values = torch.from_numpy(array)
    return values if device.type == "cpu" else values.pin_memory().to(device, non_blocking=True)
