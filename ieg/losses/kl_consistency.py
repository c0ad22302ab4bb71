"""Consistency between an image and its strong copy (IEG, arXiv 1910.00701, L_KL)."""

from __future__ import annotations

import tensorflow as tf


def kl_consistency(logits, logits_augmented):
    """mean_i KL(softmax(f(x_i)) ‖ softmax(f(xa_i))), the first argument a constant: only f(xa) is taught.

    Args: logits, logits_augmented [B,C], raw.
    Returns: scalar ≥ 0, in nats.
    """
    log_p = tf.stop_gradient(tf.nn.log_softmax(logits))  # [B,C]
    log_q = tf.nn.log_softmax(logits_augmented)  # [B,C]
    return tf.reduce_mean(tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=1))
