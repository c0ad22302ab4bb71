"""The training transform of CIFAR: black padding, random crop, random flip, values in [-1,1]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ieg.augmentation.compilation import kernel
from ieg.augmentation.policies import check_images


@dataclass(frozen=True)
class WeakDraws:
    """Draws for a batch of B images."""

    offset: np.ndarray  # int64 [B,2] in 0…2·pad: first row and column of the crop in the padded image
    flip: np.ndarray  # bool [B]
    pad: int = 2

    def rows(self, rows: slice) -> WeakDraws:
        """The draws of a part of the batch."""
        return WeakDraws(self.offset[rows], self.flip[rows], self.pad)


def draw_weak(generator: np.random.Generator, batch: int, pad: int = 2, flips: bool = True) -> WeakDraws:
    """Crop offsets and flips for `batch` images with `pad` pixels around them; no flips without `flips`."""
    offset = generator.integers(0, 2 * pad, size=(batch, 2), endpoint=True)
    return WeakDraws(offset, (generator.random(batch) < 0.5) & flips, pad)


def normalize(images: np.ndarray) -> np.ndarray:
    """2(v/255 − ½) in float32; uint8 of any shape → float32 of that shape in [-1,1]."""
    return np.float32(2) * (images.astype(np.float32) / np.float32(255) - np.float32(0.5))


def weak_augment(images: np.ndarray, draws: WeakDraws, normalize: Callable = normalize) -> np.ndarray:
    """uint8 [B,H,H,3] → float32 [B,H,H,3] in [-1,1], byte values by `normalize`.

    The authors also clip to [0,1] before the last step; crop and flip never leave it.
    """
    images = check_images(images, np.uint8, len(draws.offset))
    x = np.empty(images.shape, np.float32)
    first = np.ascontiguousarray(draws.offset) - draws.pad  # [B,2], in the image without its padding
    _crop_and_flip(images, first, np.ascontiguousarray(draws.flip), normalize(np.arange(256, dtype=np.uint8)), x)
    return x


@kernel
def _crop_and_flip(
    images: np.ndarray,  # uint8 [B,H,H,3]
    first: np.ndarray,  # int64 [B,2]: image row and column that land on output row and column 0, before the flip
    flip: np.ndarray,  # bool [B]
    table: np.ndarray,  # float32 [256]: what becomes of a value
    x: np.ndarray,  # float32 [B,H,H,3], written
) -> None:
    batch, height, width, channels = images.shape
    for i in range(batch):
        for row in range(height):
            source_row = row + first[i, 0]
            for column in range(width):
                source_column = (width - 1 - column if flip[i] else column) + first[i, 1]
                inside = 0 <= source_row < height and 0 <= source_column < width
                for channel in range(channels):
                    x[i, row, column, channel] = table[images[i, source_row, source_column, channel] if inside else 0]
