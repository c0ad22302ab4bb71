"""Which examples enter the queue of FSR (arXiv 2109.03216): at the start, and at every refill."""

from __future__ import annotations

import numpy as np


def first_of_each_class(labels: np.ndarray, num_classes: int, capacity: int) -> list[np.ndarray]:
    """The first `capacity` examples of each class in the order of the training set; all of a class that has fewer.

    Args: labels int [N], as training sees them. Returns: C arrays of positions, int64.
    """
    return [np.flatnonzero(labels == c)[:capacity] for c in range(num_classes)]


def lowest_scored(
    scores: np.ndarray, seen: np.ndarray, labels: np.ndarray, num_classes: int, capacity: int
) -> list[np.ndarray]:
    """The `capacity` examples of each class whose score is lowest, of those that training has seen.

    Equal scores go by position. Args: scores float [N]; seen bool [N]; labels int [N].
    Returns: C arrays of positions, int64, lowest first; shorter where fewer were seen, empty where none was.
    """
    chosen = []
    for c in range(num_classes):
        members = np.flatnonzero((labels == c) & seen)
        chosen.append(members[np.argsort(scores[members], kind="stable")[:capacity]])
    return chosen
