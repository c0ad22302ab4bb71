"""L2 regularisation, in the loss: the papers' optimisers in TensorFlow have no weight decay."""

from __future__ import annotations

import tensorflow as tf


def l2_loss(network, parameters):
    """reg(θ) = ½ · wd · Σ‖v‖² over the parameters that `network` regularises (its `l2` is wd). Returns: scalar."""
    return network.l2 * tf.add_n([tf.nn.l2_loss(value) for value in network.regularized(parameters).values()])


def probe_weight_decay(network):
    """Factor wd of the probe loss's L2: `probe_l2` (resnet29, resnet11: half of training's) or else `l2`."""
    return network.l2 if network.probe_l2 is None else network.probe_l2


def probe_l2_loss(network, ahead):
    """½ · wd · Σ‖θ̂‖² over every looked-ahead parameter: kernels, biases and batch norm alike. Returns: scalar.

    Args: ahead {name: tensor}, the parameters that the look-ahead moved.
    """
    return probe_weight_decay(network) * tf.add_n([tf.nn.l2_loss(value) for value in ahead.values()])
