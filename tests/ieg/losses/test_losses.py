import numpy as np
import pytest
import tensorflow as tf

from ieg.losses.cross_entropy import cross_entropy, smooth_labels
from ieg.losses.guess_label import guess_label
from ieg.losses.kl_consistency import kl_consistency
from ieg.losses.logit_norm import logit_norm
from ieg.losses.meta_weights import blend_labels, meta_relabel, meta_weights
from ieg.losses.mixup import mix, mixing_weight, mixup_losses

A = np.array([[1, 2, -1], [0.5, 0, 3]])
B = np.array([[0.2, -0.4, 1.5], [2, 1, -3]])
TARGETS = np.array([[0.7, 0.2, 0.1], [0, 1, 0]])


def softmax(rows):
    return np.array([[np.exp(v) / sum(np.exp(w) for w in row) for v in row] for row in rows])


def slow_logit_norm(rows):
    mean_square = sum(v * v for row in rows for v in row) / rows.size
    return np.array([[v / np.sqrt(mean_square + 1e-8) for v in row] for row in rows])


def slow_guess(a, b, temperature):
    p = (softmax(slow_logit_norm(a)) + softmax(slow_logit_norm(b))) / 2
    return np.array([[v ** (1 / temperature) / sum(w ** (1 / temperature) for w in row) for v in row] for row in p])


def slow_cross_entropy(targets, logits):
    p = softmax(logits)
    return np.array([-sum(t * np.log(q) for t, q in zip(*pair, strict=True)) for pair in zip(targets, p, strict=True)])


def slow_kl(a, b):
    p, q = softmax(a), softmax(b)
    return sum(p[i, c] * np.log(p[i, c] / q[i, c]) for i in range(len(p)) for c in range(p.shape[1])) / len(p)


def numeric_gradient(function, x, step=1e-6):
    """Central differences of a scalar function at x."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient


def tape_gradient(function, x):
    x = tf.constant(x, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x)


@pytest.fixture
def pair():
    random = np.random.default_rng(0)
    return random.normal(size=(5, 4)), random.normal(size=(5, 4))


def test_golden_values():
    expected = [[0.62725, 1.2545, -0.62725], [0.313625, 0, 1.8817501]]
    np.testing.assert_allclose(logit_norm(tf.constant(A)), expected, atol=1e-6)
    np.testing.assert_array_equal(logit_norm(tf.zeros([2, 3])), np.zeros((2, 3)))
    expected = [[0.24334806, 0.44039693, 0.31625500], [0.43423185, 0.14749840, 0.41826969]]
    np.testing.assert_allclose(guess_label(tf.constant(A), tf.constant(B), 0.5), expected, atol=1e-7)
    np.testing.assert_allclose(cross_entropy(TARGETS, tf.constant(A)), [1.3490121, 3.1238730], rtol=1e-7)
    smoothed = smooth_labels(tf.constant(TARGETS), 0.1)
    np.testing.assert_allclose(cross_entropy(smoothed, tf.constant(A)), [1.3823456, 3.0072064], rtol=1e-7)


def test_kl_golden_value_and_gradient():
    a, b = tf.constant(A), tf.constant(B)
    with tf.GradientTape() as tape:
        tape.watch((a, b))
        loss = 20 * kl_consistency(a, b)
    assert float(loss) == pytest.approx(56.583321, rel=5e-7)  # printed from float32
    of_a, of_b = tape.gradient(loss, (a, b))
    assert of_a is None or not np.any(of_a)
    expected = [[-0.6785612, -6.0021009, 6.6806626], [6.5495372, 2.2363667, -8.7859039]]
    np.testing.assert_allclose(of_b, expected, atol=1e-6)


def test_mixup_golden_values():
    weight = mixing_weight(tf.constant([0.01, 0.25, 0.5, 0.81, 0.98, 1], tf.float64))
    np.testing.assert_allclose(weight, [0.99995, 0.96875, 0.875, 0.67195, 0.5198, 0.5], atol=1e-12)
    partner = tf.constant([2, 0, 1, 5, 3, 4])
    images = mix(tf.range(6, dtype=tf.float64), partner, weight)
    np.testing.assert_allclose(images, [0.0001, 0.96875, 1.875, 3.6561, 3.5198, 4.5], atol=1e-12)
    targets = mix(tf.eye(6, dtype=tf.float64), partner, weight)
    np.testing.assert_allclose(np.diag(targets), weight, atol=1e-12)
    np.testing.assert_allclose(tf.reduce_sum(targets, 1), np.ones(6), atol=1e-12)


def test_values_equal_slow_loops(pair):
    a, b = pair
    np.testing.assert_allclose(logit_norm(tf.constant(a)), slow_logit_norm(a), rtol=1e-12)
    for temperature in (0.5, 1.0):
        np.testing.assert_allclose(
            guess_label(a, tf.constant(b), temperature), slow_guess(a, b, temperature), rtol=1e-10
        )
    targets = softmax(b)
    np.testing.assert_allclose(cross_entropy(targets, tf.constant(a)), slow_cross_entropy(targets, a), rtol=1e-12)
    assert float(kl_consistency(tf.constant(a), tf.constant(b))) == pytest.approx(slow_kl(a, b), rel=1e-12)


@pytest.mark.parametrize("place", [0, 1])
def test_gradients_equal_finite_differences_of_slow_loops(pair, place):
    a, b = pair
    upstream = np.random.default_rng(1).normal(size=a.shape)

    def both(x):
        return (x, b) if place == 0 else (a, x)

    def ours(x):
        first, second = both(x)
        return tf.reduce_sum(guess_label(tf.convert_to_tensor(first), tf.convert_to_tensor(second)) * upstream)

    expected = numeric_gradient(lambda x: np.sum(slow_guess(*both(x), 0.5) * upstream), pair[place])
    np.testing.assert_allclose(tape_gradient(ours, pair[place]), expected, rtol=1e-5, atol=1e-8)
    if place == 1:
        expected = numeric_gradient(lambda x: slow_kl(a, x), b)
        np.testing.assert_allclose(
            tape_gradient(lambda x: kl_consistency(tf.constant(a), x), b), expected, rtol=1e-5, atol=1e-8
        )


def test_cross_entropy_gradients(pair):
    logits, targets = pair[0], softmax(pair[1])
    weights = np.random.default_rng(2).random(5)
    expected = numeric_gradient(lambda x: weights @ slow_cross_entropy(targets, x), logits)
    found = tape_gradient(lambda x: tf.reduce_sum(weights * cross_entropy(targets, x)), logits)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
    expected = numeric_gradient(lambda t: weights @ slow_cross_entropy(t, logits), targets)
    found = tape_gradient(lambda t: tf.reduce_sum(weights * cross_entropy(t, tf.constant(logits))), targets)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_mixup_losses_norm_each_block_apart():
    random = np.random.default_rng(3)
    logits, targets = random.normal(size=(6, 4)), softmax(random.normal(size=(6, 4)))
    logits[2:4] *= 10

    def slow(x):
        return np.array(
            [slow_cross_entropy(targets[i : i + 2], slow_logit_norm(x[i : i + 2])).mean() for i in (0, 2, 4)]
        )

    np.testing.assert_allclose(mixup_losses(tf.constant(logits), tf.constant(targets), 3), slow(logits), rtol=1e-10)
    factor = np.array([1, 2.5, 2.5])
    found = tape_gradient(lambda x: tf.reduce_sum(factor * mixup_losses(x, tf.constant(targets), 3)), logits)
    np.testing.assert_allclose(found, numeric_gradient(lambda x: factor @ slow(x), logits), rtol=1e-5, atol=1e-8)


def test_meta_weights_keep_what_helps():
    np.testing.assert_allclose(
        meta_weights(tf.constant([-3.0, 1.0, -1.0, 0.0])), [3 / 4.00001, 0, 1 / 4.00001, 0], rtol=1e-6
    )
    np.testing.assert_array_equal(meta_weights(tf.constant([1.0, 2.0])), [0, 0])
    np.testing.assert_array_equal(meta_relabel(tf.constant([-1e-9, 0.0, 2.0])), [1, 0, 0])
    blended = blend_labels(tf.constant([1.0, 0.25]), tf.constant([[1.0, 0], [1, 0]]), tf.constant([[0.5, 0.5], [0, 1]]))
    np.testing.assert_allclose(blended, [[1, 0], [0.25, 0.75]])
