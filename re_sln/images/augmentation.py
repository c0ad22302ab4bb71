"""Random crops and flips of a whole batch at once, on the device where the images lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from common.random_streams import generator


@dataclass(frozen=True)
class Crops:
    """Where each example of the data set is cut out in one pass over it, and whether it is mirrored.

    rows, columns: float64 [N] in [0, 1), share of the free room above and to the left; flips: bool [N].
    """

    rows: np.ndarray
    columns: np.ndarray
    flips: np.ndarray


def draw_crops(seed: int, purpose: str, epoch: int, count: int) -> Crops:
    """The draws of an epoch for `count` examples: they depend on example and epoch, not on batch or process."""
    rng = generator(seed, purpose, epoch)
    return Crops(rng.random(count), rng.random(count), rng.random(count) < 0.5)


def offsets(shares: np.ndarray, room: int) -> np.ndarray:
    """int64 in 0…room, each as likely as the others, from shares in [0, 1)."""
    return np.floor(shares * (room + 1)).astype(np.int64)


def crop_and_flip(padded: Tensor, index: Tensor, rows: Tensor, columns: Tensor, flips: Tensor, size: int) -> Tensor:
    """Cuts windows of size × size out of images and mirrors some of them.

    padded: uint8 [N, H, W, 3], with black around already; index: int64 [B], which images; rows, columns: int64 [B],
    upper left corners; flips: bool [B]. Returns uint8 [B, size, size, 3].
    """
    steps = torch.arange(size, device=padded.device)
    across = torch.where(flips[:, None], size - 1 - steps, steps)  # [B, size]
    y = rows[:, None] + steps  # [B, size]
    x = columns[:, None] + across  # [B, size]
    height, width = padded.shape[1:3]
    flat = (index[:, None, None] * height + y[:, :, None]) * width + x[:, None, :]  # [B, size, size]
    return padded.reshape(-1, 3).index_select(0, flat.reshape(-1)).reshape(len(index), size, size, 3)
