"""Which examples enter the queue of FSR (arXiv 2109.03216), and which of its rows make the next probe batch."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


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


def class_balanced_draw(counts, capacity: int, size: int, seed):
    """`size` of the first counts[c] places of every class: without replacement, with it where a class has too few.

    Args:
        counts: int32 [C], 1…capacity: how many places of each class are taken.
        capacity: K, places of a class, at least `size`.
        size: how many are drawn of each class.
        seed: int [2]; equal seeds draw the same on every device.

    Returns: int32 [C,size] in 0…counts[c]−1.
    """
    classes = counts.shape[0]
    uniform = tf.random.stateless_uniform([2, classes, capacity], seed, alg="philox")  # [2,C,K]
    # The places with the smallest of K random numbers are a draw without replacement.
    keys = tf.where(tf.range(capacity) < counts[:, None], uniform[0], 2.0)  # [C,K], places not taken come last
    without = tf.math.top_k(-keys, size).indices  # [C,size]
    repeated = tf.cast(uniform[1, :, :size] * tf.cast(counts[:, None], tf.float32), tf.int32)
    return tf.where(counts[:, None] >= size, without, tf.minimum(repeated, counts[:, None] - 1))
