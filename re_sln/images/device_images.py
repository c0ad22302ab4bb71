"""Images that lie on the device as bytes and are cut out, mirrored and normalised there, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from re_sln.images.augmentation import Crops, crop_and_flip, offsets


@dataclass(frozen=True)
class Look:
    """What is done to images before the network sees them: size, black border, mean and std [3] in units of 0…1."""

    size: int
    padding: int
    resize: int
    mean: np.ndarray
    std: np.ndarray
    channels_last: bool = False

    def normalise(self, images: Tensor) -> Tensor:
        """Uint8 [B, H, W, 3] → float32 [B, 3, H, W], (x / 255 − mean) / std."""
        scale = torch.as_tensor(1 / (255 * self.std), dtype=torch.float32, device=images.device)
        shift = torch.as_tensor(-self.mean / self.std, dtype=torch.float32, device=images.device)
        planes = torch.addcmul(shift, images.float(), scale).permute(0, 3, 1, 2)  # [B, 3, H, W]
        return planes if self.channels_last else planes.contiguous()


class DeviceImages:
    """All images of a set on one device.

    images: uint8 [N, H, W, 3]; they must be at least `look.size` high and wide with their border.
    """

    def __init__(self, images: np.ndarray, look: Look, device: torch.device) -> None:
        border = look.padding
        padded = np.pad(images, ((0, 0), (border, border), (border, border), (0, 0)))
        self.look, self.device = look, device
        self.padded = torch.from_numpy(padded).to(device)
        self.room = (padded.shape[1] - look.size, padded.shape[2] - look.size)

    def batches(self, indices: Sequence[np.ndarray], crops: Crops | None) -> Iterator[Tensor]:
        """Float32 [B, 3, size, size] for each array of indices; without crops the middle of each image."""
        if not indices:
            return
        chosen = np.concatenate(indices)
        if crops is None:
            middle = np.full(len(chosen), 0.5)
            rows, columns, flips = middle, middle, np.zeros(len(chosen), bool)
        else:
            rows, columns, flips = crops.rows[chosen], crops.columns[chosen], crops.flips[chosen]
        # One transfer for all batches: between two of them the device has nothing to wait for.
        sizes = [len(index) for index in indices]
        parts = [
            torch.from_numpy(array).to(self.device).split(sizes)
            for array in (chosen, offsets(rows, self.room[0]), offsets(columns, self.room[1]), flips)
        ]
        for index, row, column, flip in zip(*parts, strict=True):
            yield self.look.normalise(crop_and_flip(self.padded, index, row, column, flip, self.look.size))
