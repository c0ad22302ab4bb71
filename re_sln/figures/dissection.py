"""What losses tell: whether labels and predictions are right, in bins of examples with rising loss."""

from __future__ import annotations

import numpy as np

KINDS = (
    "label ✗ prediction ✗",
    "label ✗ prediction ✓",
    "label ✓ prediction ✗",
    "label ✓ prediction ✓",
)


def dissect(losses: np.ndarray, label_right: np.ndarray, prediction_right: np.ndarray, bin_size: int) -> np.ndarray:
    """How many of each of KINDS are in each bin, int64 [bins, 4].

    losses: float [n]; label_right, prediction_right: bool [n]. Examples are put in order of their losses, equal ones in
    order of the data set, and cut into bins of bin_size, of which the last may hold fewer.
    """
    kind = 2 * label_right.astype(np.int64) + prediction_right  # [n], place in KINDS
    ordered = kind[np.argsort(losses, kind="stable")]
    bins = np.arange(len(ordered)) // bin_size
    counts = np.zeros((-(-len(ordered) // bin_size), len(KINDS)), np.int64)
    np.add.at(counts, (bins, ordered), 1)
    return counts
