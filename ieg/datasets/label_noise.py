"""Label noise of the IEG and FSR papers, drawn as the authors' program draws it (numpy's legacy generator)."""

from __future__ import annotations

import numpy as np

# CIFAR-10: truck → automobile, bird → airplane, cat ↔ dog, deer → horse
ASYMMETRIC_CIFAR10 = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}


def uniform_noise(labels: np.ndarray, ratio: float, num_classes: int, random: np.random.RandomState) -> np.ndarray:
    """Each label is redrawn with probability `ratio` from all classes, the true one included.

    The realised error rate is ratio·(1 − 1/C). Args: labels int [N]; ratio in [0,1]. Returns: int64 [N].
    """
    noisy = labels.astype(np.int64)
    mask = random.rand(len(labels)) <= ratio
    noisy[mask] = random.choice(num_classes, mask.sum())
    return noisy


def asymmetric_matrix(ratio: float) -> np.ndarray:
    """Transition matrix [10,10] of CIFAR-10: row = true class, the pairs above with probability `ratio`."""
    matrix = np.eye(10)
    for source, target in ASYMMETRIC_CIFAR10.items():
        matrix[source, source], matrix[source, target] = 1 - ratio, ratio
    return matrix


def asymmetric_noise(labels: np.ndarray, ratio: float, random: np.random.RandomState) -> np.ndarray:
    """Labels redrawn from their row of `asymmetric_matrix`. Args: labels int [N] in 0…9. Returns: int64 [N]."""
    matrix = asymmetric_matrix(ratio)
    return np.array([random.multinomial(1, matrix[label]).argmax() for label in labels], np.int64)
