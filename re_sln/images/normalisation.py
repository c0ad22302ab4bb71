"""Mean and standard deviation that images are normalised with, in units of 0…1."""

from __future__ import annotations

import numpy as np

from common.errors import UsageError

AUTHORS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "clothing1m": ((0.6959, 0.6537, 0.6371), (0.3113, 0.3192, 0.3214)),
}
CHUNK = 5000


def normalisation(dataset_name: str, kind: str, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, std), float64 [3] each.

    kind `rerun`: from the clean training images, uint8 [N, H, W, 3]; `authors`: their constants.
    Raises: UsageError where the authors have none.
    """
    check_normalisation(dataset_name, kind)
    if kind == "authors":
        mean, std = AUTHORS[dataset_name]
        return np.array(mean), np.array(std)
    return channel_means(images), per_image_std(images) if dataset_name == "cifar10" else global_std(images)


def check_normalisation(dataset_name: str, kind: str) -> None:
    """Raises: UsageError."""
    if kind == "authors" and dataset_name not in AUTHORS:
        raise UsageError(
            f"--norm=authors: they have constants for {', '.join(AUTHORS)}, not for {dataset_name}; use --norm=rerun"
        )
    if kind == "rerun" and dataset_name == "clothing1m":
        raise UsageError(
            "--norm=rerun: a million photographs are not read for their mean and std; use --norm=authors, the authors' "
            "constants"
        )


def channel_means(images: np.ndarray) -> np.ndarray:
    """Mean of every channel over all pixels, float64 [3] in [0, 1]."""
    return sum(part.sum(axis=(0, 1, 2), dtype=np.float64) for part in _parts(images)) / (images[..., 0].size * 255)


def per_image_std(images: np.ndarray) -> np.ndarray:
    """Mean over images of each image's standard deviation per channel, float64 [3]: the published runs on CIFAR-10."""
    return sum(part.std(axis=(1, 2), dtype=np.float64).sum(axis=0) for part in _parts(images)) / (len(images) * 255)


def global_std(images: np.ndarray) -> np.ndarray:
    """Standard deviation of every channel over all pixels, float64 [3]."""
    mean = channel_means(images) * 255
    squares = sum(np.square(part - mean).sum(axis=(0, 1, 2)) for part in _parts(images))
    return np.sqrt(squares / images[..., 0].size) / 255


def _parts(images: np.ndarray):
    """The images in pieces: float64 copies of all of them would not fit."""
    return (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
