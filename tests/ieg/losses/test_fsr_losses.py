"""The equations of fsr, one by one, against loops; values and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from common.errors import UsageError
from ieg.losses.margin import margin, score_update
from ieg.losses.meta_weights import unclipped_weights
from ieg.losses.moving_weights import moving_weights
from ieg.losses.pseudo_label import pseudo_label, pseudo_loss, running_logits
from ieg.settings.pseudo_loss_name import PseudoLoss, parse_pseudo_loss
from tests.ieg.losses.test_losses import (
    A,
    B,
    numeric_gradient,
    slow_cross_entropy,
    slow_logit_norm,
    softmax,
    tape_gradient,
)


def test_margin_is_how_far_the_loss_falls():
    assert margin(np.array([2.0, 1.0]), np.array([0.5, 3.0])).tolist() == [1.5, -2.0]


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.9, 1.0, 1.7])
def test_score_update(beta):
    random = np.random.default_rng(0)
    scores, margins = random.normal(size=(4, 50))[:2]
    for score, value, found in zip(scores, margins, score_update(scores, margins, beta), strict=True):
        expected = score + beta * (-value) if beta >= 1 else beta * score + (1 - beta) * (-value)
        assert found == pytest.approx(expected, rel=1e-12)


def test_an_example_whose_loss_falls_most_has_the_lowest_score():
    scores = np.zeros(3)
    for _ in range(20):
        scores = score_update(scores, np.array([2.0, 0.0, -1.0]), 0.9)
    assert scores.tolist() == sorted(scores)
    assert scores[0] == pytest.approx(-2 * (1 - 0.9**20))


def test_unclipped_weights():
    g = np.array([-0.3, 0.1, 0.0, 0.25])
    raw = [(0.25 - value) - (0.25 - 0.25) + 0.25 for value in g]  # the least is that of g = 0.25
    np.testing.assert_allclose(unclipped_weights(tf.constant(g)), np.array(raw) / (sum(raw) + 1e-5), rtol=1e-12)
    assert np.min(unclipped_weights(tf.constant(g))) > 0
    np.testing.assert_allclose(unclipped_weights(tf.zeros(4, tf.float64)), np.full(4, 0.25), rtol=2e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.1, 1.0])
def test_running_logits(gamma):
    expected = gamma * slow_logit_norm(A) + (1 - gamma) * B
    np.testing.assert_allclose(running_logits(tf.constant(A), tf.constant(B), gamma), expected, rtol=1e-12)


def test_pseudo_label():
    np.testing.assert_allclose(pseudo_label(tf.constant(A), 0.5), softmax(slow_logit_norm(A) / 0.5), rtol=1e-12)
    np.testing.assert_allclose(pseudo_label(tf.zeros([2, 4]), 1.0), np.full((2, 4), 0.25))
    np.testing.assert_allclose(pseudo_label(tf.constant(A), 1e-3), [[0, 1, 0], [0, 0, 1]], atol=1e-9)


def test_pseudo_loss_and_its_gradient():
    labels, weights = softmax(A), np.array([0.0, 0.7])
    losses = slow_cross_entropy(labels, B)
    expected = {"all": losses.mean(), "partial": losses[0]}
    for kind, value in expected.items():

        def loss(logits, kind=kind):
            return pseudo_loss(tf.constant(labels), tf.convert_to_tensor(logits), tf.constant(weights), kind)

        assert float(loss(tf.constant(B))) == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(tape_gradient(loss, B), numeric_gradient(lambda x: float(loss(x)), B), atol=1e-8)
    assert float(pseudo_loss(tf.constant(labels), tf.constant(B), tf.ones(2, tf.float64), "partial")) == 0


def test_the_pseudo_label_is_a_constant():
    def taught(e):
        return tf.reduce_sum(pseudo_label(e, 1.0) * tf.constant(B))

    assert tape_gradient(taught, A) is None
    assert tape_gradient(lambda f: tf.reduce_sum(running_logits(tf.constant(A), f, 0.1)), B) is None


def test_moving_weights_by_class():
    average, labels = np.array([0.1, 0.2, 0.3, 0.4]), np.array([2, 0, 2, 3, 2])
    weights = np.array([0.5, 0.1, 0.2, 0.0, 0.2])
    moved = moving_weights(tf.constant(average), tf.constant(weights), tf.one_hot(labels, 4, dtype=tf.float64), 0.9)
    expected = average.copy()
    for c in range(4):
        own = [weight for weight, label in zip(weights, labels, strict=True) if label == c]
        if own:
            expected[c] = 0.9 * average[c] + 0.1 * sum(own) / len(own)
    np.testing.assert_allclose(moved, expected, rtol=1e-12)
    assert moved[1] == 0.2  # no example of class 1
    order = np.random.default_rng(0).permutation(5)
    again = moving_weights(
        tf.constant(average), tf.constant(weights[order]), tf.one_hot(labels[order], 4, dtype=tf.float64), 0.9
    )
    np.testing.assert_allclose(again, moved, rtol=1e-12)


def test_names_of_pseudo_losses():
    assert parse_pseudo_loss("") is None
    assert parse_pseudo_loss("all_1_0.1_2") == PseudoLoss("all", 1.0, 0.1, 2.0)
    assert parse_pseudo_loss("partial_0.5_0_1e-1") == PseudoLoss("partial", 0.5, 0.0, 0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("some_1_0.1_2", "the type is all or partial"),
        ("all_1_0.1", "all_1_0.1_2"),
        ("all_1_0.1_2_3", "all_1_0.1_2"),
        ("all_1_x_2", "1_x_2 are not three numbers"),
        ("all_0_0.1_2", "temperature 0.0 is not positive"),
        ("all_nan_0.1_2", "temperature nan"),
        ("all_1_1.5_2", "gamma 1.5 is not between 0 and 1"),
        ("all_1_0.1_-2", "weight -2.0 is not at least 0"),
        ("all_1_0.1_inf", "weight inf"),
        ("all", "or --use_pseudo_loss= for none"),
    ],
)
def test_wrong_names_of_pseudo_losses(text, message):
    with pytest.raises(UsageError, match=message.replace(".", r"\.")) as error:
        parse_pseudo_loss(text)
    assert text in str(error.value)
