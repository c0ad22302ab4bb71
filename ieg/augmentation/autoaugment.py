"""AutoAugment with the policies found on CIFAR-10 (arXiv 1805.09501): each image gets one of 95 sub-policies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ieg.augmentation.operations import Operation
from ieg.augmentation.policies import Chances, Policies, apply_policies, draw_chances

_POLICIES = Path(__file__).with_name("policies.json")


@dataclass(frozen=True)
class AutoAugmentDraws:
    """Draws for a batch of B images."""

    policy: np.ndarray  # int64 [B]: which of the 95 sub-policies
    chances: Chances

    def rows(self, rows: slice) -> AutoAugmentDraws:
        """The draws of a part of the batch."""
        return AutoAugmentDraws(self.policy[rows], self.chances.rows(rows))


@cache
def cifar_policies() -> Policies:
    """The 95 sub-policies, two operations each."""
    pairs = json.loads(_POLICIES.read_text(encoding="utf-8"))["cifar10"]  # [95][2](name, probability, level)
    return Policies(
        operation=np.array([[Operation[name] for name, _, _ in pair] for pair in pairs], np.int64),
        probability=np.array([[probability for _, probability, _ in pair] for pair in pairs], np.float64),
        level=np.array([[level for _, _, level in pair] for pair in pairs], np.int64),
    )


def draw_autoaugment(generator: np.random.Generator, batch: int) -> AutoAugmentDraws:
    """A sub-policy, and its chances, for each of `batch` images."""
    policy = generator.integers(len(cifar_policies().operation), size=batch)
    return AutoAugmentDraws(policy, draw_chances(generator, batch))


def autoaugment(images: np.ndarray, draws: AutoAugmentDraws) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [B,H,H,3] → (uint8 [B,H,H,3], covered bool [B,H,H])."""
    return apply_policies(images, cifar_policies(), draws.policy, draws.chances)
