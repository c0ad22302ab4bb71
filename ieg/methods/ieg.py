"""IEG (arXiv 1910.00701): meta re-weighting, meta re-labelling, MixUp with the probe set, consistency."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from ieg.losses.cross_entropy import cross_entropy
from ieg.losses.guess_label import guess_label
from ieg.losses.kl_consistency import kl_consistency
from ieg.losses.meta_weights import blend_labels, meta_relabel, meta_weights
from ieg.losses.mixup import mix, mixing_weight, mixup_losses
from ieg.losses.weight_decay import l2_loss
from ieg.methods import lookahead
from ieg.methods.step import Settings, StepResult, accuracy, add_dicts, l2_gradient, one_hot


class Ahead(NamedTuple):
    """What the look-ahead from w = 1/B and λ = λ₀ found.

    gradient g_i = ∂L_probe/∂w_i [B]; share_gradient s_i = ∂L_probe/∂λ_i [B]; probe loss; probe logits [B,C].
    """

    gradient: tf.Tensor
    share_gradient: tf.Tensor
    probe_loss: tf.Tensor
    probe_logits: tf.Tensor


def ieg_step(network, parameters, momentum, batch, settings: Settings) -> StepResult:
    """Gradient of the total loss ½[mean CE(new λ) + Σ w CE(λ₀)] + L_mix + k·L_KL + reg.

    Args: batch: images x, strong_images xa, probe_images xp [B,H,W,3]; labels, probe_labels int [B]; and the MixUp
        draws probe_choice int [B], partner int [K·B], uniform [K·B].
    """
    labels = one_hot(batch["labels"], network)  # y [B,C]
    with tf.GradientTape(persistent=True) as tape:  # both backward passes below start from these two forward passes
        tape.watch(parameters)
        logits, statistics = network.logits(parameters, batch["images"])  # f(x) [B,C]
        strong_logits, _ = network.logits(parameters, batch["strong_images"])  # f(xa) [B,C]
    both = (logits, strong_logits)
    guesses = tf.stop_gradient(guess_label(*both))  # q [B,C]

    ahead = look_ahead(network, parameters, momentum, batch, labels, both, tape, settings)
    weights = meta_weights(ahead.gradient)  # w [B]
    share = meta_relabel(ahead.share_gradient)  # λ [B]
    # DEVIATION: the authors' program has no flag for the paper's ablation; here λ stays λ₀.
    if not settings.meta_relabel:
        share = tf.fill([labels.shape[0]], tf.constant(settings.grad_eps_init, weights.dtype))

    with tf.GradientTape() as loss_tape:
        loss_tape.watch(both)
        net_loss = reweighted_loss(logits, labels, guesses, weights, share, settings.grad_eps_init)
        consistency = settings.consistency_factor * kl_consistency(*both)
        total = net_loss + consistency
    gradients = tape.gradient(both, parameters, output_gradients=loss_tape.gradient(total, both))
    gradients = add_dicts(gradients, l2_gradient(network, parameters))
    losses = {"net": net_loss, "meta": ahead.probe_loss, "consistency": consistency}
    losses["regularization"] = l2_loss(network, parameters)
    if settings.mixup:
        mixup_gradients, losses["xemin"] = mixup_part(network, parameters, batch, guesses, settings)
        gradients = add_dicts(gradients, mixup_gradients)

    extra = {"acc/meta": accuracy(ahead.probe_logits, batch["probe_labels"]), "labels/kept": tf.reduce_mean(share)}
    recovered = tf.argmax(blend_labels(share, labels, guesses), axis=1, output_type=tf.int32)  # [B]
    return StepResult(gradients, statistics, losses, weights, logits, extra, recovered)


def look_ahead(network, parameters, momentum, batch, labels, logits, tape, settings) -> Ahead:
    """One step from w = 1/B and λ = λ₀; the gradient runs through the guessed labels.

    Args: labels [B,C]; logits: (f(x), f(xa)), [B,C] each, recorded on `tape`.
    """
    start, alpha = 1 / labels.shape[0], settings.meta_stepsize

    def label_and_guess_losses(f, fa):
        return cross_entropy(labels, f), cross_entropy(guess_label(f, fa), f)  # [B], [B]

    with tf.GradientTape() as loss_tape:
        loss_tape.watch(logits)
        of_label, of_guess = label_and_guess_losses(*logits)
        loss = start * tf.reduce_sum(blend(settings.grad_eps_init, of_label, of_guess))
    moved = lookahead.looked_ahead(parameters, settings.meta_partial_level)
    gradient = tape.gradient(logits, moved, output_gradients=loss_tape.gradient(loss, logits))
    gradient = add_dicts(gradient, l2_gradient(network, moved))
    ahead = lookahead.one_step_ahead(moved, momentum, gradient, alpha, settings.meta_momentum)  # θ̂
    v, probe_loss, probe_logits = lookahead.probe_gradient(
        network, parameters, ahead, batch["probe_images"], one_hot(batch["probe_labels"], network)
    )
    tangents = [network.logits_tangent(parameters, v, batch[key]) for key in ("images", "strong_images")]  # [B,C] each
    label_tangent, guess_tangent = lookahead.losses_tangent(label_and_guess_losses, list(logits), tangents)  # [B], [B]
    along_v = blend(settings.grad_eps_init, label_tangent, guess_tangent)  # [B]
    return Ahead(
        lookahead.weight_gradient(along_v, alpha),
        lookahead.share_gradient(label_tangent, guess_tangent, start, alpha),
        probe_loss,
        probe_logits,
    )


def blend(share, of_label, of_guess):
    """λ·a + (1 − λ)·b."""
    return share * of_label + (1 - share) * of_guess


def reweighted_loss(logits, labels, guesses, weights, share, start_share: float):
    """½[ mean_i CE(λ_i y_i + (1−λ_i) q_i) + Σ_i w_i CE(λ₀ y_i + (1−λ₀) q_i) ], all targets constants.

    Args: logits, labels, guesses [B,C]; weights w, share λ [B]; start_share λ₀. Returns: scalar.
    """
    relabelled = tf.reduce_mean(cross_entropy(blend_labels(share, labels, guesses), logits))
    reweighted = tf.reduce_sum(weights * cross_entropy(blend_labels(start_share, labels, guesses), logits))
    return (relabelled + reweighted) / 2


def mixup_part(network, parameters, batch, guesses, settings):
    """Gradient and value of L_mix = mean CE(probe block) + p · mean CE(the blocks of x and xa).

    Without `probe_mixing` the stack is [x, xa] alone. Returns: {name: tensor}, scalar.
    """
    images, targets = [batch["images"], batch["strong_images"]], [guesses, guesses]
    if settings.probe_mixing:
        images.insert(0, tf.gather(batch["probe_images"], batch["probe_choice"]))
        targets.insert(0, one_hot(tf.gather(batch["probe_labels"], batch["probe_choice"]), network))
    weight = mixing_weight(batch["uniform"])  # [K·B]
    mixed_images = mix(tf.concat(images, 0), batch["partner"], tf.cast(weight, images[0].dtype))  # [K·B,H,W,3]
    mixed_targets = mix(tf.concat(targets, 0), batch["partner"], tf.cast(weight, guesses.dtype))  # [K·B,C]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        logits, _ = network.logits(parameters, mixed_images)  # [K·B,C]
        blocks = mixup_losses(logits, mixed_targets, len(images))  # [K]
        # DEVIATION: the authors' program crashes with --ce_factor=0; here it removes this term only.
        loss = settings.ce_factor * tf.reduce_mean(blocks[-2:])
        if settings.probe_mixing:
            loss += blocks[0]
    return tape.gradient(loss, parameters), loss
