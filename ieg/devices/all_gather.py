"""Joining what the replicas of a step have, from inside the step."""

from __future__ import annotations

import tensorflow as tf


def all_gather(value: tf.Tensor) -> tf.Tensor:
    """[R·n,…] of [n,…] on each of R replicas, in their order, the same on all of them. Called on every replica."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return value
    devices = context.strategy.extended.worker_devices
    if len(devices) == 1:  # one of several machines: TensorFlow then asks the tensor for its device, which has none
        with tf.device(devices[0]):
            value = tf.identity(value)
    size = [value.shape[0] and context.num_replicas_in_sync * value.shape[0], *value.shape[1:]]
    return tf.ensure_shape(context.all_gather(value, 0), size)  # which several machines do not tell
