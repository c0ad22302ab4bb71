"""Noise that depends on the image: a network's own doubts say which labels go wrong, and to which class."""

from __future__ import annotations

import numpy as np

from common.errors import UsageError


def flip_most_doubtful(labels: np.ndarray, mean_softmax: np.ndarray, p: float) -> np.ndarray:
    """The p·N examples with the largest probability of a wrong class get that class as their label.

    Args: labels int [N]; mean_softmax float [N, C], a network's softmax averaged over its training epochs; p in [0, 1].
    Returns: int64 [N]. Among equals the lower class and the earlier example come first.
    Raises: UsageError for probabilities of another shape or that are not numbers.
    """
    if mean_softmax.ndim != 2 or len(mean_softmax) != len(labels) or not np.isfinite(mean_softmax).all():
        raise UsageError(
            f"the averaged softmax is of shape {mean_softmax.shape}: it must be one row of finite numbers for each of "
            f"the {len(labels)} examples; train the network that makes it again"
        )
    examples = np.arange(len(labels))
    wrong = mean_softmax.astype(np.float64)  # [N, C], a copy
    wrong[examples, labels] = -np.inf
    classes = wrong.argmax(axis=1)  # [N]
    chosen = np.argsort(-wrong[examples, classes], kind="stable")[: round(p * len(labels))]
    noisy = labels.astype(np.int64)
    noisy[chosen] = classes[chosen]
    return noisy
