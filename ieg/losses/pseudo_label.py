"""Pseudo labels of FSR (arXiv 2109.03216): predictions averaged over the epochs, taught beside the given labels."""

from __future__ import annotations

import tensorflow as tf

from ieg.losses.cross_entropy import cross_entropy
from ieg.losses.logit_norm import logit_norm


def running_logits(running, logits, gamma: float):
    """E_i ← γ·logit_norm(e)_i + (1 − γ)·f(x_i), the norm over the rows of this batch.

    Args: running e [B,C], 0 at the start; logits f(x) [B,C] of the images trained on, a constant; γ in [0,1].
    Returns: [B,C].
    """
    return gamma * logit_norm(running) + (1 - gamma) * tf.stop_gradient(logits)


def pseudo_label(running, temperature: float):
    """softmax(logit_norm(e)/T): uniform where nothing was seen, one-hot for T → 0. A constant.

    Args: running e [B,C], from before this step. Returns: [B,C], rows in the simplex.
    """
    return tf.stop_gradient(tf.nn.softmax(logit_norm(running) / temperature))


def pseudo_loss(labels, logits, weights, kind: str):
    """'all': mean CE(pseudo label, f(x_i)) over the batch; 'partial': their sum over examples of weight 0.

    Args: labels, logits [B,C]; weights w [B]. Returns: scalar, in nats.
    """
    losses = cross_entropy(labels, logits)  # [B]
    if kind == "all":
        return tf.reduce_mean(losses)
    return tf.reduce_sum(tf.where(weights == 0, losses, 0))
