"""L2 regularisation, in the loss: TensorFlow's optimisers of the papers have no weight decay of their own."""

from __future__ import annotations

import tensorflow as tf


def l2_loss(network, parameters):
    """reg(θ) = ½ · wd · Σ‖v‖² over the parameters that `network` regularises (its `l2` is wd). Returns: scalar."""
    return network.l2 * tf.add_n([tf.nn.l2_loss(value) for value in network.regularized(parameters).values()])
