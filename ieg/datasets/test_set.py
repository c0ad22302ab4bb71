"""Labelled images that an accuracy is measured on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from ieg.augmentation.weak import normalize


class TestSet(Protocol):
    """Labelled images, handed out in order."""

    labels: np.ndarray  # int [T]

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Network inputs float32 [≤size,H,W,3] and labels [≤size]; the last batch may be smaller."""


class ImageArray:
    """A test set in memory. Args: images uint8 [T,H,W,3]; labels int [T]; normalize: bytes to network inputs."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, normalize: Callable = normalize):
        self.images, self.labels, self.normalize = images, labels, normalize

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As TestSet."""
        for start in range(0, len(self.labels), size):
            yield self.normalize(self.images[start : start + size]), self.labels[start : start + size]
