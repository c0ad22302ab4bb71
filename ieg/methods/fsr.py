"""FSR (arXiv 2109.03216): examples weighted without probe data, by a queue of those that look cleanest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from ieg.losses.cross_entropy import cross_entropy, smooth_labels
from ieg.losses.margin import margin
from ieg.losses.meta_weights import meta_weights, unclipped_weights
from ieg.losses.mixup import mix, mixing_weight
from ieg.losses.moving_weights import moving_weights
from ieg.losses.pseudo_label import pseudo_label, pseudo_loss, running_logits
from ieg.losses.weight_decay import l2_loss, probe_l2_loss, probe_weight_decay
from ieg.methods import classifier_lookahead as closed_form
from ieg.methods import lookahead
from ieg.methods.step import Settings, StepResult, accuracy, add_dicts, l2_gradient, one_hot


class TrainingPass(NamedTuple):
    """The forward pass that is trained on, recorded on `tape`.

    images [B,H,W,3] and targets t [B,C], mixed where MixUp is on; features φ [B,F]; logits [B,C]; losses ℓ_i [B];
    batch statistics.
    """

    tape: tf.GradientTape
    images: tf.Tensor
    targets: tf.Tensor
    features: tf.Tensor
    logits: tf.Tensor
    losses: tf.Tensor
    statistics: Mapping


class Ahead(NamedTuple):
    """What the look-ahead from w = 1/B found.

    gradient g_i = ∂L_probe/∂w_i [B]; logits f(x_i; θ̂) of the plain images [B,C]; probe loss; probe logits [P,C].
    """

    gradient: tf.Tensor
    logits: tf.Tensor
    probe_loss: tf.Tensor
    probe_logits: tf.Tensor


def fsr_step(network, parameters, momentum, batch, settings: Settings) -> StepResult:
    """Gradient of Σ_i w_i ℓ_i + weight · pseudo loss + reg, and what the memory takes from the step.

    Args: batch: images x [B,H,W,3], labels int [B], the MixUp draws partner int [B] and uniform [B], and what
        `Memory.read` adds: probe_images [P,H,W,3], probe_labels [P], running_logits [B,C], class_weights
        [C], and whether examples are `weighted` and `weights_move`, bool.
    """
    labels = one_hot(batch["labels"], network)  # y [B,C]
    trained = training_pass(network, parameters, batch, labels, settings)
    look = look_ahead_on_classifier if settings.meta_partial_level == 0 else look_ahead
    ahead = look(network, parameters, momentum, batch, trained, settings)
    weights, class_weights = example_weights(ahead.gradient, labels, batch, settings)  # w [B], [C]
    margins = margin(trained.losses, cross_entropy(labels, ahead.logits))  # [B]; the memory turns them into scores

    gradients, losses = gradients_of_update(parameters, batch, trained, weights, settings)
    losses |= {"meta": ahead.probe_loss, "regularization": l2_loss(network, parameters)}
    news = {"margins": margins, "class_weights": class_weights}
    if settings.pseudo_loss:
        news["running_logits"] = running_logits(batch["running_logits"], trained.logits, settings.pseudo_loss.gamma)
    return StepResult(
        add_dicts(gradients, l2_gradient(network, parameters)),
        trained.statistics,
        losses,
        weights,
        trained.logits,
        {"acc/meta": accuracy(ahead.probe_logits, batch["probe_labels"])},
        examples={"loss": trained.losses, "margin": margins},
        news=news,
    )


def training_pass(network, parameters, batch, labels, settings) -> TrainingPass:
    """The batch mixed with itself where MixUp is on, else with smoothed labels."""
    if settings.mixup:
        weight = mixing_weight(batch["uniform"])  # [B]
        images = mix(batch["images"], batch["partner"], tf.cast(weight, batch["images"].dtype))
        targets = mix(labels, batch["partner"], tf.cast(weight, labels.dtype))  # [B,C]
    else:
        images, targets = batch["images"], smooth_labels(labels, settings.label_smoothing)
    with tf.GradientTape(persistent=True) as tape:  # a look-ahead on more than the classifier goes back through it too
        tape.watch(parameters)
        features, statistics = network.features(parameters, images)  # [B,F]
        logits = network.classifier(parameters, features)  # [B,C]
    return TrainingPass(tape, images, targets, features, logits, cross_entropy(targets, logits), statistics)


def look_ahead_on_classifier(network, parameters, momentum, batch, trained, settings) -> Ahead:
    """In closed form: a forward pass over probe images and plain images, and products of small matrices."""
    alpha, classifier = settings.meta_stepsize, lookahead.looked_ahead(parameters, 0)
    residuals = closed_form.residual(trained.logits, trained.targets)  # [B,C]
    gradient = closed_form.mean_gradient(trained.features, residuals)
    gradient = add_dicts(gradient, l2_gradient(network, classifier))
    ahead = lookahead.one_step_ahead(classifier, momentum, gradient, alpha, settings.meta_momentum)

    probe_features, plain_features = features_ahead(network, parameters, batch, trained, settings)
    targets = probe_targets(network, batch, settings)  # [P,C]
    probe_logits = network.classifier(ahead, probe_features)  # [P,C]
    v = closed_form.mean_gradient(probe_features, closed_form.residual(probe_logits, targets))
    v = {name: value + probe_weight_decay(network) * ahead[name] for name, value in v.items()}
    along_v = closed_form.gradients_along(v, trained.features, residuals)  # [B]
    probe_loss = tf.reduce_mean(cross_entropy(targets, probe_logits)) + probe_l2_loss(network, ahead)
    plain_logits = network.classifier(ahead, plain_features)  # [B,C]
    return Ahead(lookahead.weight_gradient(along_v, alpha), plain_logits, probe_loss, probe_logits)


def features_ahead(network, parameters, batch, trained, settings):
    """Features of the probe images [P,F] and of the plain images [B,F], one batch norm over both.

    With `reuse_features` those of the training pass replace the plain images'.
    """
    probes = batch["probe_images"].shape[0]
    if settings.reuse_features:
        # DEVIATION: the authors take the features of the plain images, in one batch norm with the probe images; these
        # are of the mixed images, and save a forward pass.
        return network.features_only(parameters, batch["probe_images"]), trained.features
    features = network.features_only(parameters, tf.concat([batch["probe_images"], batch["images"]], 0))  # [P+B,F]
    return features[:probes], features[probes:]


def look_ahead(network, parameters, momentum, batch, trained, settings) -> Ahead:
    """On more layers than the classifier: the general look-ahead, which IEG and L2R take too."""
    alpha, moved = settings.meta_stepsize, lookahead.looked_ahead(parameters, settings.meta_partial_level)
    upstream = closed_form.residual(trained.logits, trained.targets) / trained.logits.shape[0]  # [B,C]
    gradient = trained.tape.gradient(trained.logits, moved, output_gradients=upstream)
    gradient = add_dicts(gradient, l2_gradient(network, moved))
    ahead = lookahead.one_step_ahead(moved, momentum, gradient, alpha, settings.meta_momentum)
    targets = probe_targets(network, batch, settings)  # [P,C]
    v, probe_loss, logits = lookahead.probe_gradient(
        network, parameters, ahead, tf.concat([batch["probe_images"], batch["images"]], 0), targets
    )  # [P+B,C]
    tangent = network.logits_tangent(parameters, v, trained.images)  # [B,C]
    along_v = lookahead.losses_tangent(lambda f: cross_entropy(trained.targets, f), [trained.logits], [tangent])  # [B]
    probes = targets.shape[0]
    return Ahead(lookahead.weight_gradient(along_v, alpha), logits[probes:], probe_loss, logits[:probes])


def probe_targets(network, batch, settings):
    """Labels of the queue [P,C], smoothed with and without MixUp."""
    return smooth_labels(one_hot(batch["probe_labels"], network), settings.label_smoothing)


def example_weights(gradient, labels, batch, settings):
    """Weights [B]: 1/B before meta_start_epoch; then by the look-ahead, or the moving average of the example's class.

    Args: gradient g [B]; labels [B,C]. Returns: w [B], the moved averages [C].
    """
    average, uniform = batch["class_weights"], tf.ones_like(gradient) / gradient.shape[0]
    weights = meta_weights(gradient) if settings.clip_meta_weight else unclipped_weights(gradient)
    if settings.moving_weight_gamma:
        moved = moving_weights(average, weights, labels, settings.moving_weight_gamma)
        average = tf.where(batch["weights_move"], moved, average)
        weights = tf.linalg.matvec(labels, average)
    return tf.where(batch["weighted"], weights, uniform), average


def gradients_of_update(parameters, batch, trained, weights, settings):
    """Of Σ_i w_i ℓ_i + weight · pseudo loss, without reg: {name: tensor}, and the two losses."""
    with tf.GradientTape() as tape:
        tape.watch(trained.logits)
        losses = {"net": tf.reduce_sum(weights * cross_entropy(trained.targets, trained.logits))}
        if settings.pseudo_loss:
            target = pseudo_label(batch["running_logits"], settings.pseudo_loss.temperature)
            factor = tf.where(batch["weighted"], tf.cast(settings.pseudo_loss.weight, weights.dtype), 0)
            losses["pseudo"] = factor * pseudo_loss(target, trained.logits, weights, settings.pseudo_loss.kind)
        total = tf.add_n(list(losses.values()))
    upstream = tape.gradient(total, trained.logits)
    return trained.tape.gradient(trained.logits, parameters, output_gradients=upstream), losses
