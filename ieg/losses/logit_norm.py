"""Logit normalisation, used by the guessed labels and the MixUp losses of IEG."""

from __future__ import annotations

import tensorflow as tf


def logit_norm(logits):
    """V · rsqrt(mean(v²) + 1e-8), the mean over the whole [B,C] block, not over rows: scales a batch to mean square 1.

    Args: logits [B,C]; of zeros it gives zeros.
    Returns: [B,C].
    """
    return logits * tf.math.rsqrt(tf.reduce_mean(tf.square(logits)) + 1e-8)
