"""The look-ahead against the authors' numbers, against reverse over reverse, and against finite differences."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from ieg.losses.cross_entropy import cross_entropy
from ieg.losses.guess_label import guess_label
from ieg.methods.ieg import ieg_step, look_ahead
from ieg.methods.l2r import l2r_step
from ieg.methods.lookahead import looked_ahead
from ieg.networks.network import build_network
from ieg.networks.resnet29 import resnet29
from ieg.networks.wide_resnet import wide_resnet
from tests.ieg.golden import assert_slope, random_problem, toy_problem
from tests.ieg.step_settings import step_settings

BODIES = {
    "resnet": partial(resnet29, blocks_per_stage=1),
    "wide": partial(wide_resnet, blocks_per_stage=1, width=16),
}
LEVELS = {-1: "", 0: "classifier/", 1: ("stage3/", "final/", "classifier/")}
LEVELS[2] = ("stage2/", *LEVELS[1])


def test_golden_l2r():
    result = l2r_step(*toy_problem(), step_settings())
    np.testing.assert_allclose(result.weights, [0.1576636, 0.5111613, 0.3310926, 0], atol=2e-6)
    assert float(result.losses["meta"]) == pytest.approx(1.2240, abs=1e-6)


def test_golden_ieg():
    network, parameters, momentum, batch = toy_problem()
    result = ieg_step(network, parameters, momentum, batch, step_settings(mixup=False))
    np.testing.assert_allclose(result.weights, [0.2098642, 0.548844, 0.2411857, 0], atol=2e-6)
    assert float(result.losses["meta"]) == pytest.approx(1.2208323, abs=1e-6)
    assert float(result.losses["net"]) == pytest.approx((1.422292 + 1.4782623) / 2, abs=1e-6)
    assert float(result.losses["consistency"]) == pytest.approx(4.3406034, abs=5e-6)
    guesses = guess_label(
        network.logits(parameters, batch["images"])[0], network.logits(parameters, batch["strong_images"])[0]
    )
    # λ = [0, 1, 1, 1]: the first example is taught its guess
    np.testing.assert_array_equal(result.recovered, [int(tf.argmax(guesses[0])), 1, 2, 0])
    assert float(result.extra["labels/kept"]) == 0.75
    assert float(result.extra["acc/meta"]) == 0.5  # of the probe images after the look-ahead; 0.25 before


def test_golden_ieg_gradient_norm():
    network, parameters, momentum, batch = toy_problem()
    result = ieg_step(network, parameters, momentum, batch, step_settings(mixup=False, consistency_factor=0))
    own = [result.gradients[name] - 0.01 * parameters[name] for name in parameters]  # without the L2 term
    assert float(tf.linalg.global_norm(own)) == pytest.approx(1.1360378, rel=2e-6)


def test_guessed_labels_are_attached_in_the_look_ahead():
    """Detached they would give the other weights of the golden page."""
    result = ieg_step(*toy_problem(), step_settings(mixup=False))
    assert np.abs(result.weights - np.array([0.183882, 0.5505475, 0.265465, 0])).max() > 0.01


@pytest.mark.parametrize("name", BODIES)
def test_tangent_equals_reverse_over_reverse_and_forward_accumulator(name):
    network, parameters, direction, batch = random_problem(BODIES[name])
    ours = network.logits_tangent(parameters, direction, batch["images"])
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(parameters)
            logits, _ = network.logits(parameters, batch["images"])
            upstream = tf.zeros_like(logits)
            outer.watch(upstream)
        gradient = inner.gradient(logits, parameters, output_gradients=upstream)
        along = tf.add_n([tf.reduce_sum(gradient[key] * direction[key]) for key in direction])
    np.testing.assert_allclose(ours, outer.gradient(along, upstream), rtol=1e-8, atol=1e-10)
    keys = list(parameters)
    with tf.autodiff.ForwardAccumulator([parameters[key] for key in keys], [direction[key] for key in keys]) as forward:
        logits, _ = network.logits(parameters, batch["images"])
    np.testing.assert_allclose(ours, forward.jvp(logits), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("name", "level"), [("wide", 0), *(("resnet", level) for level in LEVELS)])
def test_tangent_along_a_part_of_the_parameters(name, level):
    """What the direction does not name does not move; before the first layer that moves there is no tangent."""
    network, parameters, direction, batch = random_problem(BODIES[name])
    part = looked_ahead(direction, level)
    assert part.keys() == {key for key in direction if key.startswith(LEVELS[level])}
    padded = {key: part.get(key, tf.zeros_like(value)) for key, value in direction.items()}
    ours = network.logits_tangent(parameters, part, batch["images"])
    np.testing.assert_allclose(ours, network.logits_tangent(parameters, padded, batch["images"]), rtol=1e-9, atol=1e-12)


def test_tangent_in_float32_equals_float64():
    exact, parameters, direction, batch = random_problem(BODIES["resnet"])
    single = build_network("resnet11", 3, image_size=8)
    expected = exact.logits_tangent(parameters, direction, batch["images"])

    def cast(values):
        return {name: tf.cast(value, tf.float32) for name, value in values.items()}

    ours = single.logits_tangent(cast(parameters), cast(direction), tf.cast(batch["images"], tf.float32))
    np.testing.assert_allclose(ours, expected, rtol=1e-2, atol=1e-3 * np.abs(expected).max())


def covered(network, name):
    return name.endswith("kernel") or not network.l2_kernels_only


def probe_loss(problem, settings, weights, shares=None):
    """L_probe as an explicit function of the weights w and shares λ, by the definition; the tape runs through ∇ℓ."""
    network, parameters, momentum, batch = problem
    labels = tf.one_hot(batch["labels"], network.num_classes, dtype=tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        logits, _ = network.logits(parameters, batch["images"])
        if shares is None:
            losses = cross_entropy(labels, logits)
        else:
            strong, _ = network.logits(parameters, batch["strong_images"])
            blended = shares[:, None] * labels + (1 - shares[:, None]) * guess_label(logits, strong)
            losses = cross_entropy(blended, logits)
        decay = network.l2 * tf.add_n(
            [tf.nn.l2_loss(value) for key, value in parameters.items() if covered(network, key)]
        )
        objective = tf.reduce_sum(weights * losses) + decay
    gradient = tape.gradient(objective, parameters)
    mu = 0.0 if shares is None else settings.meta_momentum
    ahead = {
        key: parameters[key] - settings.meta_stepsize * (mu * momentum[key] + gradient[key])
        for key in parameters
        if key.startswith(LEVELS[settings.meta_partial_level])
    }
    logits, _ = network.logits({**parameters, **ahead}, batch["probe_images"])
    targets = tf.one_hot(batch["probe_labels"], network.num_classes, dtype=tf.float64)
    factor = network.probe_l2 or network.l2
    decay = factor * tf.add_n([tf.nn.l2_loss(value) for value in ahead.values()])
    return tf.reduce_mean(cross_entropy(targets, logits)) + decay


def normalized(gradient):
    helpful = np.maximum(0, -gradient)
    return helpful / (helpful.sum() + 1e-5)


CASES: list = [("wide", -1, {}), ("wide", 0, {}), *(("resnet", level, {}) for level in LEVELS)]
# as resnet29's: training regularises kernels alone, the probe loss everything, with half the factor
HALF = dict(l2_kernels_only=True, probe_l2=0.025)


@pytest.mark.parametrize(("name", "level", "fields"), [*CASES, ("resnet", -1, HALF), ("resnet", 1, HALF)])
def test_l2r_weights_equal_reverse_over_reverse_and_finite_differences(name, level, fields):
    problem, settings = random_problem(BODIES[name], **fields), step_settings(meta_partial_level=level)
    weights = tf.zeros(6, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = probe_loss(problem, settings, weights)
    expected = tape.gradient(loss, weights).numpy()
    assert_slope(lambda w: float(probe_loss(problem, settings, tf.constant(w))), np.zeros(6), expected)
    result = l2r_step(*problem, settings)
    np.testing.assert_allclose(result.weights, normalized(expected), rtol=1e-8)
    assert float(result.losses["meta"]) == pytest.approx(float(loss), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "level", "fields"), [("wide", -1, {}), *(("resnet", level, {}) for level in LEVELS), ("resnet", -1, HALF)]
)
def test_ieg_weights_and_shares_equal_reverse_over_reverse_and_finite_differences(name, level, fields):
    problem, settings = random_problem(BODIES[name], seed=1, **fields), step_settings(meta_partial_level=level)
    network, parameters, momentum, batch = problem
    weights, shares = tf.fill([6], tf.constant(1 / 6, tf.float64)), tf.fill([6], tf.constant(0.9, tf.float64))
    with tf.GradientTape() as tape:
        tape.watch((weights, shares))
        loss = probe_loss(problem, settings, weights, shares)
    of_weights, of_shares = (gradient.numpy() for gradient in tape.gradient(loss, (weights, shares)))
    assert_slope(lambda w: float(probe_loss(problem, settings, tf.constant(w), shares)), weights.numpy(), of_weights)
    assert_slope(lambda s: float(probe_loss(problem, settings, weights, tf.constant(s))), shares.numpy(), of_shares)

    labels = tf.one_hot(batch["labels"], 3, dtype=tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(parameters)
        logits = tuple(network.logits(parameters, batch[key])[0] for key in ("images", "strong_images"))
    ahead = look_ahead(network, parameters, momentum, batch, labels, logits, tape, settings)
    np.testing.assert_allclose(ahead.gradient, of_weights, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(ahead.share_gradient, of_shares, rtol=1e-7, atol=1e-12)
