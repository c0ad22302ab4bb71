"""What goes into a step and what comes out, the same for every method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from ieg.settings.flags import Flags
from ieg.settings.fsr_config import partial_level
from ieg.settings.pseudo_loss_name import PseudoLoss, parse_pseudo_loss


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The hyper-parameters a step reads; names as the flags."""

    meta_stepsize: float
    meta_momentum: float
    grad_eps_init: float
    ce_factor: float
    consistency_factor: float
    label_smoothing: float
    meta_relabel: bool
    mixup: bool
    probe_mixing: bool
    meta_partial_level: int
    clip_meta_weight: bool
    moving_weight_gamma: float
    pseudo_loss: PseudoLoss | None
    reuse_features: bool


def settings_of(flags: Flags) -> Settings:
    """What the flags, whose defaults are the only ones, say of a step."""
    return Settings(
        meta_stepsize=flags.meta_stepsize,
        meta_momentum=flags.meta_momentum,
        grad_eps_init=flags.grad_eps_init,
        ce_factor=flags.ce_factor,
        consistency_factor=flags.consistency_factor,
        label_smoothing=flags.label_smoothing,
        meta_relabel=not flags.no_meta_relabel,
        mixup=not flags.no_mixup if flags.method == "ieg" else flags.use_mixup,
        probe_mixing=not flags.no_probe_mixing,
        meta_partial_level=partial_level(flags),
        clip_meta_weight=flags.clip_meta_weight,
        moving_weight_gamma=flags.moving_weight_gamma,
        pseudo_loss=parse_pseudo_loss(flags.use_pseudo_loss) if flags.method == "fsr" else None,
        reuse_features=flags.reuse_features,
    )


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
