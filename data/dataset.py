"""The form in which every reader hands over images."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ImageDataset:
    """A labelled image set in memory.

    `train_images`, `test_images`: uint8 [N, H, W, 3]; `train_labels`, `test_labels`: int64 [N] in [0, num_classes).
    `name`, `version` and `fingerprint` (64 hex digits) say which data it really was; they go into the run's record.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    name: str
    version: str
    fingerprint: str

    @property
    def num_classes(self) -> int:
        """How many classes there are, also those without an example."""
        return len(self.class_names)
