"""Long-tailed class counts, and the examples that a long-tailed set keeps of a balanced one."""

from __future__ import annotations

import math

import numpy as np


def class_counts(largest: int, factor: float, num_classes: int) -> list[int]:
    """n_k = ⌊n_max·F^(k/(C−1))⌋, k = 0…C−1, as in class-balanced loss (arXiv 1901.05555): falls from n_max to F·n_max.

    Args: largest: n_max; factor: F = n_min/n_max in (0,1]; num_classes: C ≥ 2. Returns: C counts.
    """
    exact = [largest * factor ** (k / (num_classes - 1)) for k in range(num_classes)]
    return [math.floor(round(count, 6)) for count in exact]  # 500·0.57 is 284.99999999999994


def long_tailed(labels: np.ndarray, counts: list[int]) -> np.ndarray:
    """The first counts[k] examples of every class k, in the official order whatever the seed.

    Args: labels: int [N]. Returns: rising int64 [sum of counts]. Raises: ValueError for a class that is too small.
    """
    # DEVIATION: the authors read these sets from files, which hold other images; the class counts are the same.
    members = [np.flatnonzero(labels == k) for k in range(len(counts))]
    for k, (found, wanted) in enumerate(zip(members, counts, strict=True)):
        if len(found) < wanted:
            raise ValueError(f"class {k} has {len(found)} examples, fewer than the {wanted} of the long-tailed set")
    return np.sort(np.concatenate([found[:wanted] for found, wanted in zip(members, counts, strict=True)]))
