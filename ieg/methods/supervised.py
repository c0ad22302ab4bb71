"""Supervised baseline: cross-entropy on the noisy labels."""

from __future__ import annotations

import tensorflow as tf

from ieg.losses.cross_entropy import cross_entropy, smooth_labels
from ieg.losses.weight_decay import l2_loss
from ieg.methods.step import Settings, StepResult, add_dicts, l2_gradient, one_hot


def supervised_step(network, parameters, momentum, batch, settings: Settings) -> StepResult:
    """Gradient of mean_i CE(y_i, f(x_i)) + reg.

    Args: batch: images [B,H,W,3] in [-1,1], labels int [B].
    """
    targets = smooth_labels(one_hot(batch["labels"], network), settings.label_smoothing)  # [B,C]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        logits, statistics = network.logits(parameters, batch["images"])  # [B,C]
        loss = tf.reduce_mean(cross_entropy(targets, logits))
    gradients = add_dicts(tape.gradient(loss, parameters), l2_gradient(network, parameters))
    count = logits.shape[0]
    return StepResult(
        gradients,
        statistics,
        {"net": loss, "regularization": l2_loss(network, parameters)},
        tf.fill([count], tf.constant(1 / count, logits.dtype)),
        logits,
        {},
    )
