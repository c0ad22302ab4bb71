"""The forward pass in parts against the plain one in float64."""

import numpy as np
import pytest
import tensorflow as tf

from ieg.networks import split_forward
from ieg.networks.layers import Tangent
from ieg.networks.network import build_network
from ieg.networks.split_forward import Parts, joint_moments

NAMES = ("resnet11", "wrn10-1", "resnet32", "resnet18")


def network_and_weights(name, dtype=tf.float32):
    """Scales and offsets away from 1 and 0, so that a batch norm left out or applied twice shows."""
    network, random = build_network(name, 10, image_size=8, dtype=dtype), np.random.default_rng(0)
    start = build_network(name, 10, image_size=8).initialize(0)
    moved = {
        key: value + 0.3 * random.normal(size=value.shape) * (network.specs[key].kind in ("scale", "offset"))
        for key, value in start.items()
    }
    return network, {key: tf.cast(value, dtype) for key, value in moved.items()}


@pytest.mark.parametrize("part", [3, 7, 100])
@pytest.mark.parametrize("name", NAMES)
def test_features_in_parts_are_those_of_the_whole_batch(name, part, monkeypatch):
    monkeypatch.setattr(split_forward, "PART", part)
    exact, weights = network_and_weights(name, tf.float64)
    images = tf.constant(np.random.default_rng(1).uniform(-1, 1, (7, 8, 8, 3)))
    expected = exact.features(weights, images)[0]
    network, weights = network_and_weights(name)
    found = network.features_only(weights, tf.cast(images, tf.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_it_is_used_in_float32_and_nowhere_else(monkeypatch):
    seen = []
    monkeypatch.setattr("ieg.networks.network.Parts", lambda *_: seen.append(1) or Parts(*_))
    for dtype, uses in ((tf.float32, 1), (tf.float64, 0), (tf.bfloat16, 0)):
        network = build_network("wrn10-1", 10, image_size=8, dtype=dtype)
        weights = {
            key: tf.cast(value, tf.float64 if dtype == tf.float64 else tf.float32)
            for key, value in network.initialize(0).items()
        }
        seen.clear()
        network.features_only(weights, tf.zeros([2, 8, 8, 3], weights["stem/conv/kernel"].dtype))
        assert len(seen) == uses


@pytest.mark.parametrize("compiled", [False, True])
def test_the_tangent_of_max_pooling_in_bfloat16(compiled):
    """XLA has the second derivative of max pooling for float32 alone."""
    random = np.random.default_rng(0)
    x, moved = (tf.cast(random.normal(size=(2, 8, 8, 3)), tf.bfloat16) for _ in range(2))
    pooled = [
        tf.function(Tangent({}, {}, dtype).max_pool, jit_compile=compiled and dtype == tf.bfloat16)(
            (tf.cast(x, dtype), tf.cast(moved, dtype)), 3, 2
        )
        for dtype in (tf.bfloat16, tf.float64)
    ]
    for found, expected in zip(*pooled, strict=True):
        assert found.dtype == tf.bfloat16
        np.testing.assert_array_equal(tf.cast(found, tf.float64), expected)


def test_moments_of_parts_together_even_far_from_zero():
    random = np.random.default_rng(0)
    values = random.normal(size=(10, 6, 6, 5)) * [1, 2, 3, 0.1, 5] + [0, 10, -20, 1, 0]
    mean, variance = joint_moments([tf.constant(values[:4], tf.float32), tf.constant(values[4:], tf.float32)])
    np.testing.assert_allclose(mean, values.mean((0, 1, 2)), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(variance, values.var((0, 1, 2)), rtol=1e-3)


def test_every_operation_takes_a_waiting_batch_norm():
    """A body that follows batch norms with everything there is."""

    def body(layers, images):
        x = layers.batch_norm("a/bn", layers.conv("a", layers.input(images), 3, 4))
        assert layers.width(x) == 4
        pooled = layers.batch_norm("b/bn", layers.average_pool(x, 2))
        padded = layers.pad_channels(layers.batch_norm("c/bn", pooled), 6)
        joined = layers.add(layers.batch_norm("d/bn", padded), layers.conv("e", layers.max_pool(x, 2, 2), 1, 6))
        strided = layers.conv("f", layers.batch_norm("f/bn", joined), 1, 5, 2)
        wide = layers.conv("g", layers.batch_norm("g/bn", strided), 3, 5, padding="SYMMETRIC")
        return layers.global_average_pool(layers.batch_norm("h/bn", wide))

    network = build_network("wrn10-1", 10, body=body, image_size=8)
    random = np.random.default_rng(2)
    weights = {key: tf.constant(random.normal(size=spec.shape), tf.float32) for key, spec in network.specs.items()}
    images = tf.constant(random.uniform(-1, 1, (5, 8, 8, 3)), tf.float32)
    expected = network.features(weights, images)[0]
    found = body(Parts(weights), images)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
