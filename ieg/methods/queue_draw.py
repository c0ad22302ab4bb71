"""Which rows of the queue make the next probe batch (FSR, arXiv 2109.03216): as many of every class."""

from __future__ import annotations

import tensorflow as tf


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
