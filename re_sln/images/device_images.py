"""Images that lie on the device as bytes and are cut out, mirrored and normalised there, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

    def normaliser(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """Uint8 [B, H, W, 3] → float32 [B, 3, H, W] on `device`, (x / 255 − mean) / std."""
        # Once: a copy of the host's memory makes a GPU wait, and cannot be part of a captured step.
        scale = torch.as_tensor(1 / (255 * self.std), dtype=torch.float32, device=device)
        shift = torch.as_tensor(-self.mean / self.std, dtype=torch.float32, device=device)

        def normalise(images: Tensor) -> Tensor:
            planes = torch.addcmul(shift, images.float(), scale).permute(0, 3, 1, 2)  # [B, 3, H, W]
            return planes if self.channels_last else planes.contiguous()

        return normalise


class DeviceImages:
    """All images of a set on one device.

    images: uint8 [N, H, W, 3]; they must be at least `look.size` high and wide with their border.
    """

    def __init__(self, images: np.ndarray, look: Look, device: torch.device) -> None:
        border = look.padding
        padded = np.pad(images, ((0, 0), (border, border), (border, border), (0, 0)))
        self.look, self.device, self.count = look, device, len(images)
        self.normalise = look.normaliser(device)
        self.padded = torch.from_numpy(padded).to(device)
        self.room = (padded.shape[1] - look.size, padded.shape[2] - look.size)

    def windows(self, crops: Crops | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where every image is cut out, int64 [N] rows and columns, and bool [N] whether it is mirrored.

        Without crops it is the middle.
        """
        middle, none = np.full(self.count, 0.5), np.zeros(self.count, bool)
        shares = (middle, middle, none) if crops is None else (crops.rows, crops.columns, crops.flips)
        return offsets(shares[0], self.room[0]), offsets(shares[1], self.room[1]), shares[2]

    def cut(self, index: Tensor, rows: Tensor, columns: Tensor, flips: Tensor) -> Tensor:
        """Float32 [B, 3, size, size] of the images `index`; all int64 [B], flips bool [B], on the device."""
        return self.normalise(crop_and_flip(self.padded, index, rows, columns, flips, self.look.size))

    def batches(self, indices: Sequence[np.ndarray], crops: Crops | None) -> Iterator[Tensor]:
        """Float32 [B, 3, size, size] for each array of indices; without crops the middle of each image."""
        if not indices:
            return
        chosen, sizes = np.concatenate(indices), [len(index) for index in indices]
        # One transfer for all batches: between two of them the device has nothing to wait for.
        parts = [
            torch.from_numpy(array).to(self.device).split(sizes)
            for array in (chosen, *(window[chosen] for window in self.windows(crops)))
        ]
        for batch in zip(*parts, strict=True):
            yield self.cut(*batch)
