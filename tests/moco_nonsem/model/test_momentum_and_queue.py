"""Momentum update, queue, shuffle, learning rate."""

import math

import numpy as np
import pytest
import torch

from common.errors import UsageError
from moco_nonsem.model.batch_shuffle import inverse_order, shuffle_order, shuffled_share, unshuffled
from moco_nonsem.model.key_queue import enqueue, initial_queue
from moco_nonsem.model.momentum_update import momentum_update
from moco_nonsem.pretraining.config import check_queue
from moco_nonsem.running.learning_rate import learning_rate


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.999, 1.0])
def test_momentum_update(momentum):
    random = torch.Generator().manual_seed(0)
    keys = [torch.randn(shape, generator=random, dtype=torch.float64) for shape in ((3,), (2, 4), ())]
    queries = [torch.randn(value.shape, generator=random, dtype=torch.float64).requires_grad_() for value in keys]
    expected = [
        [momentum * a + (1 - momentum) * b for a, b in zip(k.reshape(-1).tolist(), q.reshape(-1).tolist(), strict=True)]
        for k, q in zip(keys, queries, strict=True)
    ]
    before = [value.detach().clone() for value in queries]
    momentum_update(keys, queries, momentum)
    for found, wanted in zip(keys, expected, strict=True):
        assert found.reshape(-1).tolist() == pytest.approx(wanted, abs=1e-15)
        assert not found.requires_grad
    assert all(torch.equal(one, other) for one, other in zip(before, queries, strict=True))


@pytest.mark.parametrize("length, batch", [(12, 4), (10, 4), (5, 5)])
def test_the_queue_is_first_in_first_out_over_several_rounds(length, batch):
    """Against a list that drops its oldest entries; also where a batch goes over the end."""
    dim = 3
    queue, pointer = initial_queue(dim, length, 0), torch.zeros(1, dtype=torch.long)
    oldest_first = [column.tolist() for column in queue.T]
    for step in range(8):
        keys = torch.arange(batch * dim).reshape(batch, dim) + 100.0 * step
        enqueue(queue, pointer, keys)
        oldest_first = oldest_first[batch:] + keys.tolist()
        assert pointer.tolist() == [(step + 1) * batch % length]
        order = [(pointer.item() + place) % length for place in range(length)]
        assert queue.T[order].tolist() == oldest_first


def test_a_queue_of_one_batch_is_replaced_whole():
    queue, pointer = initial_queue(2, 3, 0), torch.zeros(1, dtype=torch.long)
    keys = torch.arange(6.0).reshape(3, 2)
    enqueue(queue, pointer, keys)
    assert torch.equal(queue, keys.T) and pointer.item() == 0


def test_the_first_queue_is_random_unit_columns():
    state = torch.random.get_rng_state()
    queue = initial_queue(16, 500, 7)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.testing.assert_close(queue.square().sum(dim=0), torch.ones(500))
    assert torch.equal(queue, initial_queue(16, 500, 7)) and not torch.equal(queue, initial_queue(16, 500, 8))
    # Directions are uniform: the mean of n unit vectors has length about 1/sqrt(n).
    assert queue.mean(dim=1).norm().item() < 3 / math.sqrt(500)


@pytest.mark.parametrize("length, batch", [(65536, 256), (16384, 128), (8192, 512), (16, 16)])
def test_queues_that_fit(length, batch):
    check_queue(length, batch)


@pytest.mark.parametrize("batch", [32, 64, 128, 256, 512])
def test_the_misprinted_length_fits_no_usual_batch(batch):
    with pytest.raises(UsageError) as error:
        check_queue(16394, batch)
    assert "--moco-k=16394" in str(error.value) and f"--batch-size={batch}" in str(error.value)
    listed = str(error.value).partition("fit: ")[2].partition(";")[0]
    sizes = [int(word) for word in listed.split(", ")]
    assert sizes == [size for size in range(1, 1025) if 16394 % size == 0]
    assert str(16394 // batch * batch) in str(error.value).partition("give")[2]


def test_the_shuffle_and_its_inverse():
    values = torch.arange(10.0)[:, None]
    order = shuffle_order(0, 3, 1, 10)
    assert sorted(order.tolist()) == list(range(10)) and order.tolist() != list(range(10))
    shuffled = shuffled_share(values, order, 0, 1)
    assert shuffled[:, 0].tolist() == [float(place) for place in order.tolist()]
    assert torch.equal(unshuffled(shuffled, order, 1), values)
    assert np.array_equal(order[inverse_order(order)], np.arange(10))


def test_every_step_and_view_has_its_own_shuffle():
    orders = {
        tuple(shuffle_order(seed, step, view, 64).tolist()) for seed in (0, 1) for step in (0, 1) for view in (0, 1)
    }
    assert len(orders) == 8
    assert np.array_equal(shuffle_order(5, 6, 1, 64), shuffle_order(5, 6, 1, 64))


def test_the_learning_rate_of_the_papers():
    cosine = [learning_rate(0.03, epoch, 200, (120, 160), cosine=True) for epoch in (0, 1, 100, 199)]
    assert cosine == pytest.approx([0.03, 0.029998, 0.015, 2e-6], abs=2e-7)
    steps = [learning_rate(0.03, epoch, 200, (120, 160), cosine=False) for epoch in (0, 119, 120, 159, 160, 199)]
    assert steps == pytest.approx([0.03, 0.03, 0.003, 0.003, 0.0003, 0.0003])
    assert learning_rate(30, 50, 100, (30, 40, 50), cosine=False) == pytest.approx(0.03)
    assert learning_rate(1.0, 5, 10, (), cosine=False) == 1.0
