import numpy as np
import torch
from torch.nn import functional

from re_sln.training.label_correction import corrected_targets, correction_weights


def slow(losses, given, predictions):
    """Loops: (w, targets)."""
    low, high = min(losses), max(losses)
    weights = [0.0 if low == high else (loss - low) / (high - low) for loss in losses]
    targets = [
        [w * y + (1 - w) * q for y, q in zip(row, prediction, strict=True)]
        for w, row, prediction in zip(weights, given, predictions, strict=True)
    ]
    return weights, targets


def onehot(labels, classes):
    return functional.one_hot(torch.tensor(labels), classes).double()


def test_worked_example():
    weights = correction_weights(torch.tensor([0.2, 1.7, 0.7, 3.2], dtype=torch.float64))
    np.testing.assert_allclose(weights, [0, 0.5, 1 / 6, 1], atol=1e-12)
    targets = corrected_targets(weights, onehot([0, 1, 2, 1], 3), onehot([0, 0, 2, 2], 3))
    np.testing.assert_allclose(targets, [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1], [0, 1, 0]], atol=1e-12)


def test_losses_that_are_all_equal_trust_no_given_label():
    weights = correction_weights(torch.full((5,), 1.25))
    assert weights.tolist() == [0] * 5
    predictions = onehot([1, 1, 0, 0, 2], 3)
    assert torch.equal(corrected_targets(weights.double(), onehot([0, 1, 2, 0, 1], 3), predictions), predictions)


def test_agrees_with_loops_for_hard_and_soft_predictions():
    rng = np.random.default_rng(2)
    losses, given = rng.normal(1, 2, 23), np.eye(5)[rng.integers(0, 5, 23)]
    soft = rng.dirichlet(np.ones(5), 23)
    for predictions in (np.eye(5)[soft.argmax(axis=1)], soft):
        weights = correction_weights(torch.tensor(losses))
        targets = corrected_targets(weights, torch.tensor(given), torch.tensor(predictions))
        expected = slow(losses.tolist(), given.tolist(), predictions.tolist())
        np.testing.assert_allclose(weights, expected[0], atol=1e-12)
        np.testing.assert_allclose(targets, expected[1], atol=1e-12)
        np.testing.assert_allclose(targets.sum(dim=1), 1, atol=1e-12)
        assert (weights.min(), weights.max()) == (0, 1)


def test_the_weights_are_over_the_whole_set():
    losses = torch.tensor([0.0, 1.0, 5.0, 10.0])
    assert not torch.equal(
        correction_weights(losses), torch.cat([correction_weights(losses[:2]), correction_weights(losses[2:])])
    )
