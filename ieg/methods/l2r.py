"""Learning to Reweight (arXiv 1803.09050): every example weighted by how much it would lower the probe loss."""

from __future__ import annotations

import tensorflow as tf

from ieg.losses.cross_entropy import cross_entropy, smooth_labels
from ieg.losses.meta_weights import meta_weights
from ieg.losses.weight_decay import l2_loss
from ieg.methods import lookahead
from ieg.methods.step import Settings, StepResult, accuracy, add_dicts, l2_gradient, one_hot


def l2r_step(network, parameters, momentum, batch, settings: Settings) -> StepResult:
    """Gradient of Σ_i w_i CE(y_i, f(x_i)) + reg, w from a look-ahead without momentum that starts at w = 0.

    At w = 0 the losses drop out of θ̂ = θ − α∇reg(θ): the look-ahead needs no backward pass over the batch.

    Args: batch: images, labels as supervised; probe_images [B,H,W,3], probe_labels [B].
    """
    targets = smooth_labels(one_hot(batch["labels"], network), settings.label_smoothing)  # [B,C]
    decay = l2_gradient(network, parameters)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        logits, statistics = network.logits(parameters, batch["images"])  # [B,C]

    # DEVIATION: the authors' last release looks ahead on the classifier unless told otherwise; ours on all layers, as
    # the published baseline.
    moved = lookahead.looked_ahead(parameters, settings.meta_partial_level)
    ahead = lookahead.one_step_ahead(moved, momentum, decay, settings.meta_stepsize, meta_momentum=0.0)
    v, probe_loss, probe_logits = lookahead.probe_gradient(
        network, parameters, ahead, batch["probe_images"], one_hot(batch["probe_labels"], network)
    )
    logits_tangent = network.logits_tangent(parameters, v, batch["images"])  # [B,C]
    along_v = lookahead.losses_tangent(lambda f: cross_entropy(targets, f), [logits], [logits_tangent])  # [B]
    weights = meta_weights(lookahead.weight_gradient(along_v, settings.meta_stepsize))  # [B]

    with tf.GradientTape() as loss_tape:
        loss_tape.watch(logits)
        loss = tf.reduce_sum(weights * cross_entropy(targets, logits))
    gradients = tape.gradient(logits, parameters, output_gradients=loss_tape.gradient(loss, logits))
    losses = {"net": loss, "meta": probe_loss, "regularization": l2_loss(network, parameters)}
    return StepResult(
        add_dicts(gradients, decay),
        statistics,
        losses,
        weights,
        logits,
        {"acc/meta": accuracy(probe_logits, batch["probe_labels"])},
    )
