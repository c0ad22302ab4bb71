"""Example weights from the look-ahead (L2R, arXiv 1803.09050, eqs. 5-6 of the method; IEG and FSR take them over)."""

from __future__ import annotations

import tensorflow as tf


def meta_weights(gradient):
    """w_i = max(0, −g_i) / (Σ_j max(0, −g_j) + 1e-5): examples whose weight lowers the probe loss, normalised.

    Args: gradient [B], g_i = ∂L_probe/∂w_i of this replica's batch.
    Returns: [B] ≥ 0, sum just under 1; all 0 where no example helps.
    """
    return normalized(tf.nn.relu(-gradient))


def unclipped_weights(gradient):
    """ŵ = (w₀ − g) − min(w₀ − g) + w₀ at w₀ = 1/B, normalised: no example is left out (FSR on long-tailed data).

    Args: gradient [B], g_i = ∂L_probe/∂w_i of this replica's batch. Returns: [B] > 0, sum just under 1.
    """
    start = 1 / gradient.shape[0]
    moved = start - gradient  # [B]
    return normalized(moved - tf.reduce_min(moved) + start)


def normalized(weights):
    """w_i / (Σ_j w_j + 1e-5). Args: weights [B] ≥ 0. Returns: [B]."""
    return weights / (tf.reduce_sum(weights) + 1e-5)


def meta_relabel(gradient):
    """λ_i = 1 where s_i < 0, else 0: keep the given label where more of it lowers the probe loss, else take the guess.

    Args: gradient [B], s_i = ∂L_probe/∂λ_i.
    Returns: [B], 0 or 1.
    """
    return tf.cast(gradient < 0, gradient.dtype)


def blend_labels(share, labels, guesses):
    """λ_i·onehot(y_i) + (1 − λ_i)·q_i. Args: share λ, a number or [B]; labels, guesses [B,C]. Returns: [B,C]."""
    share = tf.reshape(tf.convert_to_tensor(share, labels.dtype), [-1, 1])
    return share * labels + (1 - share) * guesses
