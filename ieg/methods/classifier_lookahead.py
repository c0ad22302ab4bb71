"""FSR's look-ahead on the classifier alone (arXiv 2109.03216), in closed form: no backward pass, no tangent pass.

The gradient of the cross-entropy of one example with respect to a linear classifier is an outer product,
∇ℓ_i = φ_i ⊗ (p_i − t_i), with features φ_i [F], prediction p_i = softmax(f(x_i)) and target t_i, so that each step of
`ieg.methods.lookahead` is a product of small matrices. Both give the same numbers.
"""

from __future__ import annotations

import tensorflow as tf

KERNEL, BIAS = "classifier/kernel", "classifier/bias"


def residual(logits, targets):
    """p_i − t_i, the gradient of CE(t_i, f(x_i)) with respect to the logits. Args: [B,C] each. Returns: [B,C]."""
    return tf.nn.softmax(logits) - targets


def mean_gradient(features, residuals):
    """The mean over i of ∇ℓ_i = φ_i ⊗ (p_i − t_i) for the kernel, of p_i − t_i for the bias.

    Args: features φ [B,F]; residuals p − t [B,C]. Returns: {name: tensor} of the classifier.
    """
    mean = residuals / tf.cast(tf.shape(residuals)[0], residuals.dtype)  # [B,C]
    return {KERNEL: tf.matmul(features, mean, transpose_a=True), BIAS: tf.reduce_sum(mean, 0)}


def gradients_along(direction, features, residuals):
    """⟨v, ∇ℓ_i⟩ = (p_i − t_i)·(φ_i V + v_b), what `lookahead.losses_tangent` gives.

    Args: direction v {name: tensor} of the classifier; features φ [B,F]; residuals p − t [B,C]. Returns: [B].
    """
    return tf.reduce_sum(residuals * (tf.matmul(features, direction[KERNEL]) + direction[BIAS]), axis=1)
