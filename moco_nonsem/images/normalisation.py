"""Normalisation of every image that the networks see: ImageNet's mean and standard deviation."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor) -> Tensor:
    """(x / 255 − mean) / std in place; float32 [B, 3, H, W] in 0…255."""
    scale, shift = _scale_and_shift(images.device)
    return images.mul_(scale).add_(shift)


@cache  # once for a device: to bring numbers there makes a GPU wait
def _scale_and_shift(device: torch.device) -> tuple[Tensor, Tensor]:
    """Float32 [3, 1, 1] each."""
    scale = torch.tensor([1 / (255 * std) for std in STD], device=device)
    shift = torch.tensor([-mean / std for mean, std in zip(MEAN, STD, strict=True)], device=device)
    return scale[:, None, None], shift[:, None, None]


def denormalise(images: Tensor) -> Tensor:
    """What `normalise` was given, as uint8 [B, 3, H, W]: for pictures."""
    scale, shift = images.new_tensor(STD)[:, None, None], images.new_tensor(MEAN)[:, None, None]
    return ((images * scale + shift) * 255).round().clamp(0, 255).byte()
