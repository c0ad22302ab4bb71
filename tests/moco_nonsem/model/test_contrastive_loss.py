"""The loss against loops over examples and entries, and the golden numbers."""

import math

import pytest
import torch

from moco_nonsem.model.contrastive_loss import contrast_accuracy, contrastive_logits, contrastive_losses

Q, K, QUEUE = [[0.6, 0.8]], [[0.8, 0.6]], [[1.0, 0.0], [0.0, 1.0]]
T = [[[-0.6, 0.8]], [[1.0, 0.0]]]


def unit(count, dim, seed):
    values = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values / values.square().sum(dim=1, keepdim=True).sqrt()


def loop_losses(query, key, nonsem, queue, alpha, temperature):
    """Entry by entry, in Python's numbers: logits, losses, gradient of the losses' sum with respect to the query."""
    logits, losses, gradient = [], [], []
    for n, q in enumerate(query.tolist()):
        others = [(1.0, key[n].tolist())]
        others += [(1.0, queue[:, column].tolist()) for column in range(queue.shape[1])]
        others += [(alpha, view[n].tolist()) for view in nonsem]
        row = [weight * sum(a * b for a, b in zip(q, other, strict=True)) / temperature for weight, other in others]
        total = sum(math.exp(value) for value in row)
        logits.append(row)
        losses.append(math.log(total) - row[0])
        slopes = [math.exp(value) / total - (place == 0) for place, value in enumerate(row)]
        gradient.append([
            sum(slope * weight * other[d] / temperature for slope, (weight, other) in zip(slopes, others, strict=True))
            for d in range(len(q))
        ])  # fmt: skip
    return logits, losses, gradient


@pytest.mark.parametrize("views", [0, 1, 2, 3])
@pytest.mark.parametrize("alpha, temperature", [(1.0, 0.07), (2.0, 0.2), (3.0, 1.0)])
def test_logits_losses_and_gradient_are_those_of_loops(views, alpha, temperature):
    query, key, queue = unit(5, 4, 0).requires_grad_(), unit(5, 4, 1), unit(7, 4, 2).T
    nonsem = [unit(5, 4, 10 + view) for view in range(views)]
    logits = contrastive_logits(query, key, nonsem, queue, alpha, temperature)
    losses = contrastive_losses(logits)
    losses.sum().backward()
    expected = loop_losses(query.detach(), key, nonsem, queue, alpha, temperature)
    for found, wanted in zip((logits, losses, query.grad), expected, strict=True):
        torch.testing.assert_close(found.detach(), torch.tensor(wanted, dtype=torch.float64), rtol=1e-11, atol=1e-11)
    assert logits.shape == (5, 1 + 7 + views)


@pytest.mark.parametrize("views, loss", [(2, 1.6233566), (1, 0.5595947), (0, 0.4791045)])
def test_golden_numbers(views, loss):
    query, key, queue = (torch.tensor(values, dtype=torch.float64) for values in (Q, K, QUEUE))
    nonsem = [torch.tensor(view, dtype=torch.float64) for view in T[:views]]
    logits = contrastive_logits(query, key, nonsem, queue, alpha=2.0, temperature=0.2)
    assert logits[0].tolist() == pytest.approx([4.8, 3, 4, 2.8, 6.0][: 3 + views])
    assert contrastive_losses(logits).item() == pytest.approx(loss, abs=5e-8)


@pytest.mark.parametrize("length, level", [(8192, 9.011), (16384, 9.704), (65536, 11.090)])
def test_the_level_of_the_loss_where_nothing_is_told_apart(length, level):
    assert contrastive_losses(torch.zeros(1, 1 + length + 1)).item() == pytest.approx(level, abs=6e-4)


def test_alpha_weighs_the_cosine_of_non_semantic_views_alone():
    query, key, queue, view = unit(3, 4, 0), unit(3, 4, 1), unit(6, 4, 2).T, unit(3, 4, 3)
    one, three = (contrastive_logits(query, key, [view], queue, alpha, 0.2) for alpha in (1.0, 3.0))
    assert torch.equal(one[:, :7], three[:, :7])
    torch.testing.assert_close(3 * one[:, 7], three[:, 7])


def test_contrast_accuracy_counts_the_keys_rank():
    logits = torch.tensor([[3.0, 1, 2, 0, 0, 0, 0], [2.0, 3, 4, 5, 6, 0, 0], [1.0, 3, 4, 5, 6, 2, 0]])
    assert contrast_accuracy(logits, 1).tolist() == [True, False, False]
    assert contrast_accuracy(logits, 5).tolist() == [True, True, False]
