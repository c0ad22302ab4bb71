"""RandAugment (arXiv 1909.13719) as IEG uses it: two random operations at random levels, the same for a whole batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ieg.augmentation.operations import Operation
from ieg.augmentation.policies import Chances, Policies, apply_policies, draw_chances

# All but those that only policies use.
OPERATIONS = tuple(o for o in Operation if o not in (Operation.Invert, Operation.Cutout))
PROBABILITY = 0.5


@dataclass(frozen=True)
class RandAugmentDraws:
    """Draws for a batch of B images."""

    operation: np.ndarray  # int64 [2], shared by the batch
    level: np.ndarray  # int64 [2] in 1…9, shared by the batch
    chances: Chances

    def rows(self, rows: slice) -> RandAugmentDraws:
        """The draws of a part of the batch; operations and levels stay the same."""
        return RandAugmentDraws(self.operation, self.level, self.chances.rows(rows))


def draw_randaugment(generator: np.random.Generator, batch: int) -> RandAugmentDraws:
    """Two operations (the same one twice is allowed) and levels for the batch, chances for each image."""
    operation = generator.choice(np.array(OPERATIONS, np.int64), size=2)
    level = generator.integers(1, 10, size=2)
    return RandAugmentDraws(operation, level, draw_chances(generator, batch))


def randaugment(images: np.ndarray, draws: RandAugmentDraws) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [B,H,H,3] → (uint8 [B,H,H,3], covered bool [B,H,H])."""
    policies = Policies(draws.operation[None], np.full((1, 2), PROBABILITY), draws.level[None])
    return apply_policies(images, policies, np.zeros(len(draws.chances.uniform), np.int64), draws.chances)
