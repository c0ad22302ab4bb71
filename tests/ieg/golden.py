"""The reference values v(n) that the golden numbers were computed from, and networks filled with them."""

import numpy as np
import tensorflow as tf

from ieg.networks.network import Network


def values(shape, k=0):
    """v(n + 1000·k) = ((7919·n + 104729) mod 10007)/10007 − ½ in C order: float64 of `shape`."""
    n = np.arange(int(np.prod(shape)), dtype=np.int64) + 1000 * k
    return (((7919 * n + 104729) % 10007) / 10007 - 0.5).reshape(shape)


def fill(network: Network) -> dict[str, tf.Tensor]:
    """Kernels v·√(24/fan_in), γ 1, β and biases 0."""
    filled = {}
    for name, spec in network.specs.items():
        if spec.kind in ("conv", "dense"):
            value = values(spec.shape) * np.sqrt(24 / np.prod(spec.shape[:-1]))
        else:
            value = np.ones(spec.shape) if spec.kind == "scale" else np.zeros(spec.shape)
        filled[name] = tf.constant(value, tf.float32)
    return filled


def linear(layers, images):
    """The toy network: features = flatten(x), so logits = flatten(x)·W + b, in all readings of `layers`."""
    x = layers.input(images)
    if isinstance(x, tuple):
        flat = tf.reshape(x[0], [x[0].shape[0], -1])
        return flat, None
    if isinstance(x, list):
        x = tf.concat(x, 0)
    return tf.reshape(x, [x.shape[0], -1])


def toy_problem():
    """Network, parameters, momentum and batch of the look-ahead example: B = 4, C = 3, images 2×2."""

    def tensor(k, shape, factor=1.0):
        return tf.constant(factor * values(shape, k), tf.float32)

    network = Network("toy", 3, linear, 0.01, False, {}, image_size=2)
    parameters = {"classifier/kernel": tensor(3, (12, 3)), "classifier/bias": tensor(4, (3,))}
    momentum = {"classifier/kernel": tensor(5, (12, 3)), "classifier/bias": tensor(6, (3,))}
    batch = {
        "images": tensor(0, (4, 2, 2, 3), 2),
        "probe_images": tensor(1, (4, 2, 2, 3), 2),
        "strong_images": tensor(2, (4, 2, 2, 3), 2),
        "labels": tf.constant([0, 1, 2, 0]),
        "probe_labels": tf.constant([0, 0, 1, 2]),
    }
    return network, parameters, momentum, batch


def random_problem(body, image_size=8, batch=6, num_classes=3, seed=0, l2_kernels_only=False, **fields):
    """A float64 network with noisy weights and a random batch with every draw that ieg needs."""
    random = np.random.default_rng(seed)
    fields |= {"image_size": image_size, "dtype": tf.float64}
    network = Network("small", num_classes, body, 0.05, l2_kernels_only, {}, **fields)
    parameters, momentum = {}, {}
    for name, spec in network.specs.items():
        scale = 1.0 if spec.kind == "scale" else 0.0
        spread = 0.2 if len(spec.shape) == 1 else (2 / np.prod(spec.shape[:-1])) ** 0.5
        parameters[name] = tf.constant(scale + spread * random.normal(size=spec.shape))
        momentum[name] = tf.constant(0.1 * random.normal(size=spec.shape))

    def images():
        return tf.constant(random.uniform(-1, 1, (batch, image_size, image_size, 3)))

    def labels():
        return tf.constant(random.integers(0, num_classes, batch), tf.int32)

    inputs = {
        "images": images(),
        "strong_images": images(),
        "probe_images": images(),
        "labels": labels(),
        "probe_labels": labels(),
        "probe_choice": tf.constant(random.integers(0, batch, batch), tf.int32),
        "partner": tf.constant(random.permutation(3 * batch), tf.int32),
        "uniform": tf.constant(random.random(3 * batch)),
    }
    return network, parameters, momentum, inputs


def logged_total(result):
    """Sum of the logged losses that a step goes down; the probe loss is none of them."""
    return sum(float(loss) for name, loss in result.losses.items() if name != "meta")


def assert_slope(function, at, gradient, step=1e-5):
    """By central differences along one direction with a part of every component: a wrong one changes the slope."""
    direction = np.random.default_rng(8).uniform(0.5, 1.5, len(at)) * (-1.0) ** np.arange(len(at))
    direction /= np.linalg.norm(direction)
    slope = (function(at + step * direction) - function(at - step * direction)) / (2 * step)
    np.testing.assert_allclose(slope, gradient @ direction, rtol=1e-5, atol=1e-8)
