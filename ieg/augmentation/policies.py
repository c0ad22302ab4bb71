"""Chains of operations, each with its probability and level, over a batch of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ieg.augmentation.compilation import kernel
from ieg.augmentation.operations import apply_operation


@dataclass(frozen=True)
class Policies:
    """P sub-policies of K operations."""

    operation: np.ndarray  # int64 [P,K]
    probability: np.ndarray  # float64 [P,K]
    level: np.ndarray  # int64 [P,K]


@dataclass(frozen=True)
class Chances:
    """What each image draws for each of the K operations of its sub-policy."""

    uniform: np.ndarray  # float64 [B,K] in [0,1): the operation is applied if below its probability
    negate: np.ndarray  # bool [B,K]
    centre: np.ndarray  # float64 [B,K,2] in [0,1): centre of a cutout, as a share of height and width

    def rows(self, rows: slice) -> Chances:
        """The draws of a part of the batch."""
        return Chances(self.uniform[rows], self.negate[rows], self.centre[rows])


def draw_chances(generator: np.random.Generator, batch: int, operations: int = 2) -> Chances:
    """Draws for `batch` images and `operations` operations a sub-policy."""
    return Chances(
        uniform=generator.random((batch, operations)),
        negate=generator.random((batch, operations)) < 0.5,
        centre=generator.random((batch, operations, 2)),
    )


def check_images(images: np.ndarray, dtype: type[np.generic], batch: int) -> np.ndarray:
    """`images` as the kernels take it; an error where they would read beyond an array."""
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3 or images.dtype != dtype:
        raise ValueError(f"expected {dtype.__name__} [B,H,H,3], got {images.dtype} {list(images.shape)}")
    if len(images) != batch:
        raise ValueError(f"{len(images)} images, but draws for {batch}")
    # A read-only or strided array is another type to the compiler and would be compiled for once more.
    return np.require(images, requirements=["C", "A", "W"])


def apply_policies(
    images: np.ndarray, policies: Policies, index: np.ndarray, chances: Chances
) -> tuple[np.ndarray, np.ndarray]:
    """Applies sub-policy `index` (int64 [B]) to each image.

    images uint8 [B,H,H,3] → (uint8 [B,H,H,3], covered bool [B,H,H]), the alpha channel.
    """
    images = check_images(images, np.uint8, len(index))
    if np.any((index < 0) | (index >= len(policies.operation))):
        raise ValueError(f"sub-policy out of range: there are {len(policies.operation)}")
    if chances.uniform.shape != (len(index), policies.operation.shape[1]):
        raise ValueError(f"chances {list(chances.uniform.shape)} do not fit {len(index)} images")
    augmented = images.copy()
    covered = np.ones(images.shape[:3], np.bool_)
    _apply(
        augmented,
        covered,
        policies.operation[index],  # [B,K]
        policies.level[index],
        chances.uniform < policies.probability[index],
        np.ascontiguousarray(chances.negate),
        np.ascontiguousarray(chances.centre),
    )
    return augmented, covered


@kernel
def _apply(
    images: np.ndarray,  # uint8 [B,H,H,3], changed
    covered: np.ndarray,  # bool [B,H,H], changed
    operation: np.ndarray,  # int64 [B,K]
    level: np.ndarray,  # int64 [B,K]
    applied: np.ndarray,  # bool [B,K]
    negate: np.ndarray,  # bool [B,K]
    centre: np.ndarray,  # float64 [B,K,2]
) -> None:
    batch, steps = operation.shape
    for i in range(batch):
        for k in range(steps):
            if applied[i, k]:
                apply_operation(operation[i, k], level[i, k], negate[i, k], centre[i, k], images[i], covered[i])
