"""Class-wise moving average of the example weights (FSR, arXiv 2109.03216, for long-tailed data)."""

from __future__ import annotations

import tensorflow as tf


def moving_weights(average, weights, labels, gamma: float):
    """avg[c] ← γ·avg[c] + (1 − γ)·mean of the weights of class c; a class that the batch lacks stays as it is.

    Every example then takes its class's average for its weight.

    Args: average [C]; weights [B]; labels [B,C], one-hot; γ in [0,1): 0 keeps the last batch only. Returns: [C].
    """
    # DEVIATION: the authors' formula, γ·avg[y_i] + (1 − γ)·w_i, is for one example of a class; the mean of several does
    # not depend on their order.
    total = tf.linalg.matvec(labels, weights, transpose_a=True)  # [C]
    count = tf.reduce_sum(labels, axis=0)  # [C]
    moved = gamma * average + (1 - gamma) * tf.math.divide_no_nan(total, count)
    return tf.where(count > 0, moved, average)
