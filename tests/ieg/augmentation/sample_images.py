"""Images on which operations differ."""

from __future__ import annotations

import numpy as np


def golden_image() -> np.ndarray:
    """The image of the golden sums, uint8 [32,32,3]."""
    r, c, k = np.meshgrid(np.arange(32), np.arange(32), np.arange(3), indexing="ij")
    return ((7 * r + 13 * c + 50 * k + (r * c) % 31) % 256).astype(np.uint8)


def sample_images(size: int) -> dict[str, np.ndarray]:
    """Name → uint8 [size,size,3]."""
    generator = np.random.default_rng(size)
    shape = (size, size, 3)
    half = np.zeros(shape, np.uint8)
    half[: size // 2] = 255
    lone = np.full(shape, 90, np.uint8)
    lone[1, 2] = (91, 3, 255)
    skewed = np.minimum(generator.exponential(20, shape), 255).astype(np.uint8)
    return {
        "random": generator.integers(0, 256, shape, np.uint8),
        "narrow": generator.integers(100, 131, shape, np.uint8),
        "skewed": skewed,
        "black": np.zeros(shape, np.uint8),
        "white": np.full(shape, 255, np.uint8),
        "constant": np.full(shape, 77, np.uint8),
        "black and white": half,
        "one other pixel": lone,
        # one channel constant, one of two values: Equalize and AutoContrast treat channels apart
        "mixed channels": np.dstack([half[..., 0], lone[..., 0], skewed[..., 2]]),
    }
