"""MixUp across probe examples, training examples and their strong copies (IEG, arXiv 1910.00701, L_beta)."""

from __future__ import annotations

import tensorflow as tf

from ieg.losses.cross_entropy import cross_entropy
from ieg.losses.logit_norm import logit_norm


def mixing_weight(uniform, beta: float = 0.5):
    """max(u^{1/β}/2, 1 − u^{1/β}/2) for u ~ U(0,1): the own share of a mixed example, in [½, 1].

    β → ∞ gives ½ always, β → 0 gives 1 (no mixing). Args: uniform [N] in [0,1]. Returns: [N].
    """
    half = uniform ** (1 / beta) / 2
    return tf.maximum(half, 1 - half)


def mix(values, partner, weight):
    """weight·own + (1 − weight)·partner's, row by row.

    Args: values [N,…]; partner int [N], rows of `values`; weight [N] in [0,1].
    """
    weight = tf.reshape(weight, [-1] + [1] * (values.shape.rank - 1))
    return weight * values + (1 - weight) * tf.gather(values, partner)


def mixup_losses(logits, targets, blocks: int):
    """Mean cross-entropy of every block of a mixed stack, logit_norm on each block apart.

    L_mix = first (the probe block) + p · mean of the others: `ieg.methods.ieg` adds them up.

    Args: logits, targets [K·B,C], K = blocks.
    Returns: [K].
    """
    pairs = zip(tf.split(targets, blocks), tf.split(logits, blocks), strict=True)
    return tf.stack([tf.reduce_mean(cross_entropy(target, logit_norm(block))) for target, block in pairs])
