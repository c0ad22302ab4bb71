"""The examples that a long-tailed set keeps of a balanced one."""

from __future__ import annotations

import numpy as np


def long_tailed(labels: np.ndarray, counts: list[int]) -> np.ndarray:
    """The first counts[k] examples of every class k, in the official order whatever the seed.

    Args: labels: int [N]. Returns: rising int64 [sum of counts]. Raises: ValueError for a class that is too small.
    """
    # DEVIATION: the authors read these sets from files that only a browser can download; class counts are the same,
    # images differ.
    members = [np.flatnonzero(labels == k) for k in range(len(counts))]
    for k, (examples, wanted) in enumerate(zip(members, counts, strict=True)):
        if len(examples) < wanted:
            raise ValueError(f"class {k} has {len(examples)} examples, fewer than the {wanted} of the long-tailed set")
    return np.sort(np.concatenate([examples[:wanted] for examples, wanted in zip(members, counts, strict=True)]))
