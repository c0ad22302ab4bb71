import math

import numpy as np
import torch

from re_sln.training.sln_loss import soft_cross_entropy, stochastic_targets

LOGITS = [[1, 2, 3], [0.5, -1, 0]]
NOISE = [[0.4, -1.2, 0.6], [-0.8, 0.2, 1]]


def slow_loss(logits, targets):
    """Loops over examples and classes; loss and its gradient by the closed form softmax · Σ target − target."""
    losses, gradient = [], np.zeros((len(logits), len(logits[0])))
    for i, (row, target) in enumerate(zip(logits, targets, strict=True)):
        total = sum(math.exp(value) for value in row)
        losses.append(sum(-weight * (value - math.log(total)) for value, weight in zip(row, target, strict=True)))
        for c, value in enumerate(row):
            gradient[i, c] = (math.exp(value) / total * sum(target) - target[c]) / len(logits)
    return losses, gradient


def test_worked_example():
    targets = stochastic_targets(
        torch.tensor([[1, 0, 0], [0, 0, 1]], dtype=torch.float64), torch.tensor(NOISE, dtype=torch.float64), 0.5
    )
    torch.testing.assert_close(targets, torch.tensor([[1.2, -0.6, 0.3], [-0.4, 0.1, 1.5]], dtype=torch.float64))
    logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    losses = soft_cross_entropy(logits, targets)
    losses.mean().backward()
    np.testing.assert_allclose(losses.detach(), [2.1668453680, 1.6249567264], atol=1e-9)
    np.testing.assert_allclose(losses.mean().item(), 1.8959010472, atol=1e-9)
    expected = [[-0.5594862421, 0.4101278120, 0.1493584301], [0.5279296324, 0.0231709914, -0.5511006237]]
    np.testing.assert_allclose(logits.grad, expected, atol=1e-9)


def test_value_and_gradient_agree_with_loops():
    rng = np.random.default_rng(1)
    values, onehot = rng.normal(0, 3, (17, 6)), np.eye(6)[rng.integers(0, 6, 17)]
    targets = stochastic_targets(torch.tensor(onehot), torch.tensor(rng.normal(size=(17, 6))), 0.7)
    logits = torch.tensor(values, requires_grad=True)
    losses = soft_cross_entropy(logits, targets)
    losses.mean().backward()
    expected, gradient = slow_loss(values.tolist(), targets.tolist())
    np.testing.assert_allclose(losses.detach(), expected, atol=1e-12)
    np.testing.assert_allclose(logits.grad, gradient, atol=1e-12)


def test_without_sigma_it_is_the_cross_entropy():
    logits, labels = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), torch.arange(9)
    onehot = torch.nn.functional.one_hot(labels % 4, 4).double()
    assert torch.equal(stochastic_targets(onehot, torch.ones(9, 4, dtype=torch.float64), 0.0), onehot)
    torch.testing.assert_close(
        soft_cross_entropy(logits, onehot), torch.nn.functional.cross_entropy(logits, labels % 4, reduction="none")
    )


def test_large_logits_stay_finite():
    assert soft_cross_entropy(torch.tensor([[1e4, -1e4]]), torch.tensor([[0.3, 0.7]])).isfinite().all()
