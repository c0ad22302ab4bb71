"""The transforms of the papers' small images: how far the crop is shifted, how bytes become values and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ieg.augmentation.strong import to_bytes
from ieg.augmentation.weak import normalize


@dataclass(frozen=True)
class Transform:
    """Training: `pad` black pixels a side, random crop, random flip if `flips`, `normalize`. Evaluation: the last."""

    pad: int
    normalize: Callable[[np.ndarray], np.ndarray]  # uint8 → float32
    to_bytes: Callable[[np.ndarray], np.ndarray]  # back, for the strong copy
    flips: bool = True


def normalize_by_128(images: np.ndarray) -> np.ndarray:
    """v/128 − 1 in float32; uint8 of any shape → float32 of that shape in [-1,1)."""
    return images.astype(np.float32) / np.float32(128) - np.float32(1)


def to_bytes_by_128(x: np.ndarray) -> np.ndarray:
    """The inverse of `normalize_by_128`, exact; float32 in [-1,1) → uint8."""
    return ((x + np.float32(1)) * np.float32(128)).astype(np.uint8)


CIFAR = Transform(2, normalize, to_bytes)
LONG_TAIL = Transform(4, normalize_by_128, to_bytes_by_128)
