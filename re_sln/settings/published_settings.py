"""What the published runs fix for each data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """Settings without a flag.

    sigmas: the published σ of each noise mode ("" where there is none). size: side of what the network sees, 0: the
    images' own; resize: shorter side before cropping, 0: not resized; padding: black pixels around. drop_epoch: the
    learning rate is a tenth from there on. soft_labels: label correction mixes in the softmax instead of its arg-max,
    and scores against the given label always. select_on_validation: the result is the test accuracy at the epoch that
    is best on the clean validation set.
    """

    sigmas: Mapping[str, float]
    size: int = 0
    resize: int = 0
    padding: int = 4
    test_batch: int = 128
    score_batch: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    drop_epoch: int | None = None
    soft_labels: bool = False
    select_on_validation: bool = False

    def sigma(self, noise_mode: str) -> float:
        """The published σ."""
        return self.sigmas.get(noise_mode, self.sigmas[""])


TASKS = {
    "cifar10": Task({"": 0.5, "sym": 1.0}),
    "cifar100": Task({"": 0.2, "dependent": 0.1}),
    "digits": Task({"": 0.5, "sym": 1.0}),
    "animal-10n": Task({"": 0.5}, size=32),
    "clothing1m": Task(
        {"": 0.2},
        size=224,
        resize=256,
        padding=0,
        score_batch=256,
        weight_decay=1e-3,
        drop_epoch=6,
        soft_labels=True,
        select_on_validation=True,
    ),
}
