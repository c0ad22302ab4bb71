"""What a run learns from: images, given labels, which of them are wrong, test sets, mean and std."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from common.errors import UsageError

Pictures = np.ndarray | Sequence[Path]


@dataclass(frozen=True)
class Data:
    """A training set and its test sets.

    train, test_images[name]: uint8 [N, H, W, 3], or files; given: labels as training sees them, int64 [N]; is_noisy:
    bool [N], all False where nobody knows (knows_noise); true: int64 [N], the labels before the noise, where they are
    known; tests[name]: int64 [n]; augmented_tests: those seen as in training; mean, std: float64 [3].
    """

    train: Pictures
    given: np.ndarray
    is_noisy: np.ndarray
    knows_noise: bool
    test_images: dict[str, Pictures]
    tests: dict[str, np.ndarray]
    class_names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    name: str
    version: str
    fingerprint: str
    noise_sha256: str | None = None
    true: np.ndarray | None = None
    augmented_tests: frozenset[str] = field(default_factory=frozenset)

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def described(self) -> dict[str, str]:
        """What result.json says about the data."""
        return {"name": self.name, "version": self.version, "fingerprint": self.fingerprint}


def limited(data: Data, count: int) -> Data:
    """Only the first `count` training examples, 0: all. Raises: UsageError where there are fewer."""
    if count == 0:
        return data
    if count > len(data.given):
        raise UsageError(f"--limit_train_examples={count}: there are {len(data.given)}; 0 takes them all")
    return part(data, np.arange(count))


def part(data: Data, chosen: np.ndarray) -> Data:
    """Only the training examples `chosen`, int64 [n], with all that is known about them."""
    images = data.train
    return replace(
        data,
        train=images[chosen] if isinstance(images, np.ndarray) else [images[example] for example in chosen],
        given=data.given[chosen],
        is_noisy=data.is_noisy[chosen],
        true=None if data.true is None else data.true[chosen],
    )
