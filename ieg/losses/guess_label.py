"""Guessed labels of IEG (arXiv 1910.00701, section 3.2: initial pseudo labels)."""

from __future__ import annotations

import tensorflow as tf

from ieg.losses.logit_norm import logit_norm


def guess_label(logits, logits_augmented, temperature: float = 0.5):
    """q: the two predictions of an image, averaged and sharpened.

    p = ½[softmax(logit_norm(f(x))) + softmax(logit_norm(f(xa)))];  q_ic ∝ p_ic^(1/T).
    T = 1 keeps p, T → 0 makes it one-hot. Differentiable: the look-ahead lets the gradient
    through, the update stops it.

    Args: logits, logits_augmented [B,C]; temperature T in (0, 1].
    Returns: [B,C], rows in the simplex.
    """
    p = (tf.nn.softmax(logit_norm(logits)) + tf.nn.softmax(logit_norm(logits_augmented))) / 2  # [B,C]
    sharp = p ** (1 / temperature)  # [B,C]
    return sharp / tf.reduce_sum(sharp, axis=1, keepdims=True)
