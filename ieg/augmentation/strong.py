"""The strong copy of a training image: policy, grey padding with random crop, flip, cutout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ieg.augmentation.autoaugment import AutoAugmentDraws, autoaugment, draw_autoaugment
from ieg.augmentation.compilation import kernel
from ieg.augmentation.policies import check_images
from ieg.augmentation.randaugment import RandAugmentDraws, draw_randaugment, randaugment
from ieg.augmentation.weak import WeakDraws, draw_weak, normalize, weak_augment

AUG_TYPES = ("autoaug", "randaug", "default")
PAD = 4
CUTOUT = 16


@dataclass(frozen=True)
class StrongDraws:
    """Draws for a batch of B images."""

    policy: AutoAugmentDraws | RandAugmentDraws
    offset: np.ndarray  # int64 [B,2] in 0…7: the authors' upper bound excludes 8, so no crop touches the far edge
    flip: np.ndarray  # bool [B]
    centre: np.ndarray  # float64 [B,2] in [0,1): centre of the cutout, as a share of height and width

    def rows(self, rows: slice) -> StrongDraws:
        """The draws of a part of the batch."""
        return StrongDraws(self.policy.rows(rows), self.offset[rows], self.flip[rows], self.centre[rows])


def draw_strong(generator: np.random.Generator, batch: int, aug_type: str) -> StrongDraws | WeakDraws:
    """Draws of the strong copy for `batch` images; `aug_type` is one of AUG_TYPES."""
    if aug_type == "default":
        return draw_weak(generator, batch)
    if aug_type not in AUG_TYPES:
        raise ValueError(f"aug_type is {aug_type!r}, not one of {', '.join(AUG_TYPES)}")
    draw_policy = draw_autoaugment if aug_type == "autoaug" else draw_randaugment
    return StrongDraws(
        policy=draw_policy(generator, batch),
        offset=generator.integers(2 * PAD, size=(batch, 2)),
        flip=generator.random(batch) < 0.5,
        centre=generator.random((batch, 2)),
    )


def to_bytes(x: np.ndarray) -> np.ndarray:
    """⌊(x/2 + ½)·255⌋ in float32; float32 in [-1,1] → uint8.

    Of the 256 values of `normalize`, truncation turns v = 1…63 into v − 1, because v/255 − ½ is rounded there, and
    gives every other v back. The authors' programs do the same, so it stays.
    """
    return ((x * np.float32(0.5) + np.float32(0.5)) * np.float32(255)).astype(np.uint8)


def make_strong_copy(
    images: np.ndarray,
    x: np.ndarray,
    draws: StrongDraws | WeakDraws,
    normalize: Callable = normalize,
    to_bytes: Callable = to_bytes,
) -> np.ndarray:
    """The strong copy of a batch, by what `draw_strong` drew.

    images uint8 [B,H,H,3], the originals; x float32 [B,H,H,3], their weak augmentation → float32 [B,H,H,3].
    `normalize` turned the bytes into the values of x, `to_bytes` turns them back.
    """
    if isinstance(draws, WeakDraws):
        # DEVIATION: the authors' program crashes with --aug_type=default; here it is a second weak augmentation.
        return weak_augment(images, draws, normalize)
    return strong_augment(x, draws, normalize, to_bytes)


def strong_augment(
    x: np.ndarray, draws: StrongDraws, normalize: Callable = normalize, to_bytes: Callable = to_bytes
) -> np.ndarray:
    """float32 [B,H,H,3] in [-1,1], already weakly augmented → float32 [B,H,H,3]; what nothing covers is 0 (grey)."""
    x = check_images(x, np.float32, len(draws.offset))
    if isinstance(draws.policy, AutoAugmentDraws):
        images, covered = autoaugment(to_bytes(x), draws.policy)
    else:
        images, covered = randaugment(to_bytes(x), draws.policy)
    height = x.shape[1]
    strong = np.zeros(x.shape, np.float32)
    _crop_flip_cutout(
        images,
        covered,
        np.ascontiguousarray(draws.offset) - PAD,
        np.ascontiguousarray(draws.flip),
        (draws.centre * height).astype(np.int64),  # [B,2]
        normalize(np.arange(256, dtype=np.uint8)),
        strong,
    )
    return strong


@kernel
def _cut_out(row: int, column: int, row_centre: int, column_centre: int) -> bool:
    """Whether the pixel is among the CUTOUT×CUTOUT around the centre."""
    half = CUTOUT // 2
    return -half <= row - row_centre < half and -half <= column - column_centre < half


@kernel
def _crop_flip_cutout(
    images: np.ndarray,  # uint8 [B,H,H,3]
    covered: np.ndarray,  # bool [B,H,H]
    first: np.ndarray,  # int64 [B,2]: image row and column that land on output row and column 0, before the flip
    flip: np.ndarray,  # bool [B]
    centre: np.ndarray,  # int64 [B,2]
    table: np.ndarray,  # float32 [256]: what becomes of a value
    strong: np.ndarray,  # float32 [B,H,H,3], zeros, written where the image shows
) -> None:
    batch, height, width = covered.shape
    for i in range(batch):
        for row in range(height):
            source_row = row + first[i, 0]
            for column in range(width):
                source_column = (width - 1 - column if flip[i] else column) + first[i, 1]
                inside = 0 <= source_row < height and 0 <= source_column < width
                if not inside or not covered[i, source_row, source_column]:
                    continue
                if not _cut_out(row, column, centre[i, 0], centre[i, 1]):
                    for channel in range(3):
                        strong[i, row, column, channel] = table[images[i, source_row, source_column, channel]]
