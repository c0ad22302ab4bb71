"""Each step's gradients against one plain tape over the total loss as the spec writes it, in float64."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from ieg.methods import METHODS
from ieg.methods.step import settings_of
from ieg.networks.resnet29 import resnet29
from ieg.settings.flags import Flags
from ieg.settings.pseudo_loss_name import PseudoLoss
from ieg.training.state import TrainState
from ieg.training.train_step import TrainStep
from tests.ieg.golden import linear, logged_total, random_problem, toy_problem
from tests.ieg.step_settings import step_settings

BODY = partial(resnet29, blocks_per_stage=1)
WITHOUT_MEMORY = sorted(METHODS.keys() - {"fsr"})  # for fsr see test_fsr.py


def one_hot(labels):
    return tf.one_hot(labels, 3, dtype=tf.float64)


def entropy(targets, logits):
    return -tf.reduce_sum(targets * tf.math.log(tf.nn.softmax(logits)), 1)


def normed(block):
    return block / tf.sqrt(tf.reduce_mean(block**2) + 1e-8)


def naive_total(network, parameters, batch, weights, share, settings):
    """½[CE(new λ) + Σ w CE(λ₀)] + L_mix + k·KL + reg, guessed labels constant."""
    x, xa = (network.logits(parameters, batch[key])[0] for key in ("images", "strong_images"))
    p = (tf.nn.softmax(normed(x)) + tf.nn.softmax(normed(xa))) / 2
    q = tf.stop_gradient(p**2 / tf.reduce_sum(p**2, 1, keepdims=True))
    y = one_hot(batch["labels"])
    new = share[:, None] * y + (1 - share[:, None]) * q
    total = (tf.reduce_mean(entropy(new, x)) + tf.reduce_sum(weights * entropy(0.9 * y + 0.1 * q, x))) / 2
    fixed = tf.stop_gradient(tf.nn.softmax(x))
    divergence = tf.reduce_sum(fixed * (tf.math.log(fixed) - tf.math.log(tf.nn.softmax(xa))), 1)
    total += settings.consistency_factor * tf.reduce_mean(divergence)
    if settings.mixup:
        total += naive_mixup(network, parameters, batch, q, settings)
    return total + network.l2 / 2 * tf.add_n([tf.reduce_sum(value**2) for value in parameters.values()])


def naive_mixup(network, parameters, batch, q, settings):
    """Row by row: mixed = weight·own + (1 − weight)·partner."""
    images, targets = [*batch["images"], *batch["strong_images"]], [*q, *q]
    if settings.probe_mixing:
        chosen = batch["probe_choice"].numpy()
        images = [batch["probe_images"][i] for i in chosen] + images
        targets = [one_hot(batch["probe_labels"])[i] for i in chosen] + targets
    rows = []
    for i, partner in enumerate(batch["partner"].numpy()):
        small = float(batch["uniform"][i]) ** 2 / 2
        own = max(small, 1 - small)
        rows.append((own * images[i] + (1 - own) * images[partner], own * targets[i] + (1 - own) * targets[partner]))
    logits, _ = network.logits(parameters, tf.stack([image for image, _ in rows]))
    size = len(batch["labels"])
    losses = [
        tf.reduce_mean(entropy(tf.stack([target for _, target in rows[i : i + size]]), normed(logits[i : i + size])))
        for i in range(0, len(rows), size)
    ]
    rest = settings.ce_factor * (losses[-2] + losses[-1]) / 2
    return losses[0] + rest if settings.probe_mixing else rest


def gradients_of(function, parameters):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        loss = function()
    return tape.gradient(loss, parameters)


def assert_close(ours, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-7, atol=1e-10, err_msg=name)


ABLATIONS = [
    step_settings(),
    step_settings(ce_factor=0.0),
    step_settings(consistency_factor=0.0),
    step_settings(meta_relabel=False),
    step_settings(mixup=False),
    step_settings(probe_mixing=False),
]


@pytest.mark.parametrize("settings", ABLATIONS)
def test_ieg_gradient_is_that_of_the_total_loss(settings):
    network, parameters, momentum, batch = random_problem(BODY)
    if not settings.probe_mixing:
        batch["partner"] = tf.constant(np.random.default_rng(5).permutation(12), tf.int32)
        batch["uniform"] = batch["uniform"][:12]
    result = METHODS["ieg"](network, parameters, momentum, batch, settings)
    labels = batch["labels"].numpy()
    if settings.meta_relabel:  # λ is 0 or 1; which of the two shows in the label that is taught, but for equal ones
        share = share_of(network, parameters, momentum, batch, settings)
        assert 0 < share.mean() < 1
        x, xa = (network.logits(parameters, batch[key])[0] for key in ("images", "strong_images"))
        guessed = np.argmax(tf.nn.softmax(normed(x)) + tf.nn.softmax(normed(xa)), 1)
        np.testing.assert_array_equal(result.recovered, np.where(share == 1, labels, guessed))
        assert (result.recovered.numpy() != labels).any()
    else:
        share = np.full(6, 0.9)
        np.testing.assert_array_equal(result.recovered, labels)

    def total():
        return naive_total(network, parameters, batch, result.weights, tf.constant(share), settings)

    assert_close(result.gradients, gradients_of(total, parameters))
    assert logged_total(result) == pytest.approx(float(total()), rel=1e-9)
    assert ("xemin" in result.losses) == settings.mixup


def test_every_flag_of_a_step_reaches_its_own_setting():
    """Numbers that differ, and switches one at a time: no two can be mixed up."""
    numbers = {
        "meta_stepsize": 0.01, "meta_momentum": 0.02, "grad_eps_init": 0.03, "ce_factor": 0.04,
        "consistency_factor": 0.05, "label_smoothing": 0.06, "moving_weight_gamma": 0.07, "meta_partial_level": 1,
    }  # fmt: skip
    found = settings_of(Flags(method="ieg", **numbers))
    assert {name: getattr(found, name) for name in numbers} == numbers
    plain = dataclasses.asdict(settings_of(Flags()))
    for changes, name in (
        ({"no_meta_relabel": True}, "meta_relabel"), ({"no_mixup": True}, "mixup"),
        ({"no_probe_mixing": True}, "probe_mixing"), ({"clip_meta_weight": True}, "clip_meta_weight"),
        ({"reuse_features": True}, "reuse_features"),
    ):  # fmt: skip
        changed = dataclasses.asdict(settings_of(Flags(**changes)))
        assert {key for key in plain if plain[key] != changed[key]} == {name}
    assert settings_of(Flags(method="fsr")).mixup
    fsr = settings_of(Flags(method="fsr", use_mixup=False, use_pseudo_loss="partial_2_0.3_4"))
    assert (fsr.mixup, fsr.pseudo_loss, fsr.meta_partial_level) == (False, PseudoLoss("partial", 2.0, 0.3, 4.0), 0)


def share_of(network, parameters, momentum, batch, settings):
    """λ as the step found it, told from the label loss: test_lookahead.py checks it against oracles."""
    from ieg.methods.ieg import look_ahead, meta_relabel

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(parameters)
        logits = tuple(network.logits(parameters, batch[key])[0] for key in ("images", "strong_images"))
    labels = one_hot(batch["labels"])
    ahead = look_ahead(network, parameters, momentum, batch, labels, logits, tape, settings)
    return meta_relabel(ahead.share_gradient).numpy()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("method", ["supervised", "l2r"])
def test_baselines(method, smoothing):
    network, parameters, momentum, batch = random_problem(BODY)
    result = METHODS[method](network, parameters, momentum, batch, step_settings(label_smoothing=smoothing))
    targets = (1 - smoothing) * one_hot(batch["labels"]) + smoothing / 3

    def total():
        losses = entropy(targets, network.logits(parameters, batch["images"])[0])
        decay = network.l2 / 2 * tf.add_n([tf.reduce_sum(value**2) for value in parameters.values()])
        return tf.reduce_sum(result.weights * losses) + decay

    assert_close(result.gradients, gradients_of(total, parameters))
    assert logged_total(result) == pytest.approx(float(total()), rel=1e-9)


@pytest.mark.parametrize("method", WITHOUT_MEMORY)
def test_moving_averages_take_the_pass_on_plain_images(method):
    network, parameters, momentum, batch = random_problem(BODY)
    result = METHODS[method](network, parameters, momentum, batch, step_settings())
    _, expected = network.logits(parameters, batch["images"])
    for name, pair in expected.items():
        np.testing.assert_allclose(result.batch_statistics[name], pair, rtol=1e-12)


@pytest.mark.parametrize("method", WITHOUT_MEMORY)
def test_one_process_updates_as_the_formulas_say(method):
    """Momentum with a changing rate, EMA before (supervised, l2r) or after (ieg) the update."""
    network, _, _, batch = toy_problem()
    batch |= {"probe_choice": tf.range(4), "partner": tf.range(11, -1, -1), "uniform": tf.linspace(0.1, 0.9, 12)}
    network = type(network)("toy", 3, linear, 0.01, False, {"dense": lambda shape, _: tf.ones(shape) / 7}, image_size=2)
    state = TrainState(network, 0)
    first = method != "ieg"
    strategy = tf.distribute.get_strategy()
    step = TrainStep(strategy, network, METHODS[method], step_settings(), state, momentum=0.9, ema_first=first)
    theta = {name: value.numpy() for name, value in state.parameters.items()}
    m = {name: np.zeros_like(value) for name, value in theta.items()}
    ema = dict(theta)
    for rate, decay in [(0.1, 0.1), (0.05, 0.5), (0.2, 0.25)]:
        tensors = [{name: tf.constant(value) for name, value in values.items()} for values in (theta, m)]
        gradients = METHODS[method](network, *tensors, batch, step_settings()).gradients
        before = dict(theta)
        for name, gradient in gradients.items():
            m[name] = 0.9 * m[name] + gradient.numpy()
            theta[name] = theta[name] - rate * m[name]
            ema[name] = decay * ema[name] + (1 - decay) * (before if first else theta)[name]
        step(batch, tf.constant(rate), tf.constant(decay))
        for expected, found in ((theta, state.parameters), (m, state.momentum), (ema, state.ema)):
            for name, value in expected.items():
                np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=1e-6, err_msg=name)
