"""Cross-entropy with soft targets."""

from __future__ import annotations

import tensorflow as tf


def cross_entropy(targets, logits):
    """ℓ_i = −Σ_c t_ic log softmax(f(x_i))_c, differentiable in both arguments.

    Args: targets [B,C], rows in the simplex; logits [B,C].
    Returns: [B], in nats, ≥ 0.
    """
    return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=1)


def smooth_labels(targets, smoothing: float):
    """Label smoothing: (1 − s)·t + s/C; s = 0 leaves the targets [B,C] alone, s = 1 makes them uniform."""
    return (1 - smoothing) * targets + smoothing / targets.shape[-1]
