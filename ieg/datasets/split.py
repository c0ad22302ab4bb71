"""Training, probe and test examples of a seed, index by index as the authors' program draws them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ieg.datasets.label_noise import asymmetric_noise, uniform_noise


@dataclass(frozen=True)
class Split:
    """Indices into the official order, and the labels training sees.

    train_index int64 [N]; train_labels int64 [N], noisy; true_labels int64 [N];
    probe_index, probe_labels int64 [P], interleaved by class 0, 1, …, C−1, 0, 1, …; test_index int64 [T].
    """

    train_index: np.ndarray
    train_labels: np.ndarray
    true_labels: np.ndarray
    probe_index: np.ndarray
    probe_labels: np.ndarray
    test_index: np.ndarray


def make_split(labels, num_test: int, num_classes: int, probe_size: int, noise: str, ratio: float, seed: int) -> Split:
    """Shuffles, holds out the probe set, then corrupts what is left: probe examples never carry noise.

    Args:
        labels: int [N], true labels of the training set in the official order.
        num_test: images of the test set.
        num_classes: C.
        probe_size: images held out, a multiple of num_classes; 0 = none.
        noise: 'none', 'uniform' or 'asymmetric'.
        ratio: of the noise, in [0,1].
        seed: of every draw.
    """
    random = np.random.RandomState(seed)
    order = np.arange(len(labels))
    random.shuffle(order)
    # DEVIATION: the authors' last release lost the probe split, so that its default command fails; here it is made.
    probe = (
        [
            random.choice(np.flatnonzero(labels[order] == c), probe_size // num_classes, replace=False)
            for c in range(num_classes)
        ]
        if probe_size
        else []
    )
    kept = np.setdiff1d(np.arange(len(order)), np.concatenate(probe)) if probe_size else np.arange(len(order))
    train = order[kept]
    true = labels[train].astype(np.int64)
    noisy = corrupt(true, noise, ratio, num_classes, random, seed)
    shuffled = np.arange(len(train))
    random.shuffle(shuffled)
    for members in probe:
        random.shuffle(members)
    interleaved = order[np.stack(probe, axis=1).ravel()] if probe_size else np.zeros(0, np.int64)
    test = np.arange(num_test)
    random.shuffle(test)
    return Split(train[shuffled], noisy[shuffled], true[shuffled], interleaved, labels[interleaved], test)


def corrupt(labels, noise: str, ratio: float, num_classes: int, random: np.random.RandomState, seed: int):
    """Noisy copy of `labels`; asymmetric noise has its own generator from `seed`, as the authors' does."""
    if noise == "uniform":
        return uniform_noise(labels, ratio, num_classes, random)
    if noise == "asymmetric":
        return asymmetric_noise(labels, ratio, np.random.RandomState(seed))
    return labels.copy()
