"""What goes into a step and what comes out, the same for every method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from ieg.settings.pseudo_loss_name import PseudoLoss


class Settings(NamedTuple):
    """The hyper-parameters a step reads; names as the flags."""

    meta_stepsize: float = 0.1
    meta_momentum: float = 0.9
    grad_eps_init: float = 0.9
    ce_factor: float = 5.0
    consistency_factor: float = 20.0
    label_smoothing: float = 0.0
    meta_relabel: bool = True
    mixup: bool = True
    probe_mixing: bool = True
    meta_partial_level: int = -1
    clip_meta_weight: bool = False
    moving_weight_gamma: float = 0.0
    pseudo_loss: PseudoLoss | None = None
    reuse_features: bool = False


class StepResult(NamedTuple):
    """Of one replica: what the trainer adds up, applies and logs.

    gradients {name: tensor} of the total loss of this replica, not yet divided by the number of replicas;
    batch_statistics {batch norm: (mean, variance)} of the one pass that moves the moving averages;
    losses {component: scalar}; weights [B] of the examples (1/B where the method has none); logits [B,C] of x;
    extra {name: scalar} that is logged besides; recovered int [B]: the label each example is taught, where a method
    relabels; examples {name: [B]} that are logged by example; news {name: tensor}: what the memory of fsr takes.
    """

    gradients: Mapping[str, tf.Tensor]
    batch_statistics: Mapping[str, tuple[tf.Tensor, tf.Tensor]]
    losses: Mapping[str, tf.Tensor]
    weights: tf.Tensor
    logits: tf.Tensor
    extra: Mapping[str, tf.Tensor]
    recovered: tf.Tensor | None = None
    examples: Mapping[str, tf.Tensor] | None = None
    news: Mapping[str, tf.Tensor] | None = None


def one_hot(labels, network):
    """[B] int to [B,C] in the dtype of the logits."""
    return tf.one_hot(labels, network.num_classes, dtype=tf.float64 if network.dtype == tf.float64 else tf.float32)


def add_dicts(first, second):
    """Sum of two dicts with the same names."""
    return {name: first[name] + second[name] for name in first}


def l2_gradient(network, parameters):
    """∇reg(θ) = wd·θ on what `network` regularises, 0 elsewhere: {name: tensor}."""
    covered = network.regularized(parameters)
    return {name: network.l2 * value if name in covered else tf.zeros_like(value) for name, value in parameters.items()}


def accuracy(logits, labels):
    """Share of rows [B,C] whose arg-max is the label [B]: scalar in [0,1]."""
    return tf.reduce_mean(tf.cast(tf.argmax(logits, 1, tf.int32) == tf.cast(labels, tf.int32), tf.float32))
