"""How sure a network is of what it predicts: counts of the largest softmax value."""

from __future__ import annotations

import numpy as np

EDGES = np.linspace(0, 1, 100)


def largest_probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax value of the predicted class, float64 [n] in [1 / C, 1]. logits: float [n, C]."""
    below = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)  # [n, C], 0 for the predicted class
    return 1 / np.exp(below).sum(axis=1)


def count_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """How many fall into each of the 99 bins between 100 edges from 0 to 1, int64 [99]; 1 itself is in the last."""
    return np.histogram(probabilities, EDGES)[0]
