"""A training step against one written from the spec with plain loops, and what the step must not do."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common.pytorch.process_group import Group
from moco_nonsem.model import moco as moco_module
from moco_nonsem.model.batch_shuffle import shuffle_order
from moco_nonsem.model.contrastive_loss import contrastive_losses
from moco_nonsem.model.moco import Contrast, Encoders, MoCo, moco_step
from moco_nonsem.pretraining.tally import Tally
from tests.moco_nonsem.model.test_contrastive_loss import loop_losses

ALONE = Group(0, 1, torch.device("cpu"))
CONTRAST = Contrast(alpha=2.0, temperature=0.2, momentum=0.6, seed=3)
BATCH, SIZE = 4, 16
RATE = 0.05


def views_of(step, nonsem=1):
    random = torch.Generator().manual_seed(100 + step)
    query, key, *others = (
        torch.randn(BATCH, 3, SIZE, SIZE, generator=random, dtype=torch.float64) for _ in range(2 + nonsem)
    )
    return SimpleNamespace(query=query, key=key, nonsem=others)


def small(bn_splits=1):
    model = MoCo("resnet10-small", 5, 8, True, 0, bn_splits).double().train()
    with torch.no_grad():  # so that the two encoders differ, as they do after the first step
        for value in model.encoder_k.parameters():
            value.add_(0.01)
    return model


def plain(model):
    return Encoders(model.encoder_q, model.encoder_k)


def slow_step(model, views, step, contrast):
    """The step in the spec's order, on copies. Returns logits, losses, gradient to the queries, model, new keys."""
    model = copy.deepcopy(model)

    def unit(values):
        return values / values.square().sum(dim=1, keepdim=True).sqrt()

    query = unit(model.encoder_q(views.query)).detach()
    query_state, key_state = dict(model.encoder_q.named_parameters()), dict(model.encoder_k.named_parameters())
    with torch.no_grad():
        for name, value in key_state.items():
            value.copy_(contrast.momentum * value + (1 - contrast.momentum) * query_state[name])
        embedded = []
        for number, images in enumerate([views.key, *views.nonsem]):
            order = shuffle_order(contrast.seed, step, number, len(images)).tolist()
            shuffled = unit(model.encoder_k(torch.stack([images[place] for place in order])))
            back = torch.zeros_like(shuffled)
            for place, source in enumerate(order):
                back[source] = shuffled[place]
            embedded.append(back)
    key, *nonsem = embedded
    logits, losses, gradient = loop_losses(query, key, nonsem, model.queue, contrast.alpha, contrast.temperature)
    start = int(model.queue_ptr)
    for place, vector in enumerate(key):
        model.queue[:, (start + place) % model.queue.shape[1]] = vector
    model.queue_ptr[0] = (start + len(key)) % model.queue.shape[1]
    return logits, losses, gradient, model


@pytest.mark.parametrize("nonsem", [0, 1, 2])
@pytest.mark.parametrize("bn_splits", [1, 2])
def test_steps_are_those_of_the_spec(nonsem, bn_splits):
    model = small(bn_splits)
    optimiser = torch.optim.SGD(model.encoder_q.parameters(), RATE)
    for step in range(3):
        views = views_of(step, nonsem)
        logits, losses, gradient, expected = slow_step(model, views, step, CONTRAST)
        queries: list[torch.Tensor] = []

        def embed(images, kept=queries):
            kept.append(model.encoder_q(images))
            kept[0].retain_grad()
            return kept[0]

        encoders = Encoders(embed, model.encoder_k)
        found_losses, found = moco_step(model, encoders, optimiser, views, CONTRAST, step, ALONE)
        torch.testing.assert_close(found, torch.tensor(logits, dtype=torch.float64), rtol=1e-9, atol=1e-9)
        assert found_losses.tolist() == pytest.approx(losses, abs=1e-9)
        slopes = {f"encoder_q.{name}": value.grad for name, value in model.encoder_q.named_parameters()}
        for name, value in expected.state_dict().items():
            moved = value - RATE * slopes[name] if name in slopes else value
            torch.testing.assert_close(model.state_dict()[name], moved, rtol=1e-9, atol=1e-9, msg=name)
        # The gradient of v/|v| is that of v projected on what is orthogonal to it; the loss is the batch's mean.
        raw, slope = queries[0].detach(), torch.tensor(gradient, dtype=torch.float64) / BATCH
        length = raw.norm(dim=1, keepdim=True)
        unit = raw / length
        slope = (slope - unit * (slope * unit).sum(dim=1, keepdim=True)) / length
        torch.testing.assert_close(queries[0].grad, slope, rtol=1e-8, atol=1e-9)
        assert all(value.grad is None for value in model.encoder_k.parameters())


def test_the_order_of_the_step(monkeypatch):
    model, seen = small(), []
    old_queue = model.queue.clone()
    original = {name: getattr(moco_module, name) for name in ("momentum_update", "contrastive_logits", "enqueue")}

    def noting(name):
        def called(*arguments):
            seen.append(name)
            if name == "contrastive_logits":
                assert torch.equal(arguments[3], old_queue)
            return original[name](*arguments)

        return called

    for name in original:
        monkeypatch.setattr(moco_module, name, noting(name))

    def encode(name, network):
        def called(images):
            seen.append(name)
            return network(images)

        return called

    views = views_of(0, nonsem=2)
    encoders = Encoders(encode("q", model.encoder_q), encode("k or t", model.encoder_k))
    optimiser = torch.optim.SGD(model.encoder_q.parameters(), RATE)
    optimiser.register_step_pre_hook(lambda *_: seen.append("update"))
    moco_step(model, encoders, optimiser, views, CONTRAST, 0, ALONE)
    assert seen == ["q", "momentum_update", "k or t", "k or t", "k or t", "contrastive_logits", "update", "enqueue"]
    assert not torch.equal(model.queue[:, :BATCH], old_queue[:, :BATCH])
    assert torch.equal(model.queue[:, BATCH:], old_queue[:, BATCH:])  # t never enters


def test_the_key_encoder_keeps_its_own_statistics_of_batch_norm():
    """Momentum 1 and equal encoders: whatever differs afterwards comes from the images each has seen."""
    contrast = Contrast(2.0, 0.2, 1.0, 0)
    model = MoCo("resnet10-small", 5, 8, True, 0).double().train()
    views = views_of(0, nonsem=1)
    before = {name: value.clone() for name, value in model.encoder_k.named_parameters()}
    moco_step(model, plain(model), torch.optim.SGD(model.encoder_q.parameters(), 0.0), views, contrast, 0, ALONE)
    assert all(torch.equal(value, before[name]) for name, value in model.encoder_k.named_parameters())
    query, key = model.encoder_q.bn1, model.encoder_k.bn1
    assert query.num_batches_tracked.item() == 1 and key.num_batches_tracked.item() == 2
    fresh = MoCo("resnet10-small", 5, 8, True, 0).double().train().encoder_k
    fresh(views.key), fresh(views.nonsem[0])
    torch.testing.assert_close(key.running_mean, fresh.bn1.running_mean)
    assert not torch.allclose(key.running_mean, query.running_mean)
    # The momentum update itself leaves them alone.
    moved = key.running_mean.clone()
    moco_module.momentum_update(model.encoder_k.parameters(), model.encoder_q.parameters(), 0.0)
    assert torch.equal(key.running_mean, moved)


def test_the_tally_is_the_mean_over_examples():
    tally, seen = Tally(torch.device("cpu")), []
    for step, count in enumerate((3, 2)):
        random = torch.Generator().manual_seed(step)
        logits = torch.randn(count, 1 + 6 + 2, generator=random, dtype=torch.float64)
        tally.add(contrastive_losses(logits), logits, 2, alpha=3.0, temperature=0.5)
        seen += logits.tolist()
    means = Tally.means(tally.state, 2)
    rows = np.array(seen)
    assert means["loss/train"] == pytest.approx(np.mean(np.log(np.exp(rows).sum(axis=1)) - rows[:, 0]))
    ranks = (rows[:, 1:] > rows[:, :1]).sum(axis=1)
    assert means["accuracy/contrast_top1"] == np.mean(ranks < 1)
    assert means["accuracy/contrast_top5"] == np.mean(ranks < 5)
    assert means["similarity/key"] == pytest.approx(0.5 * rows[:, 0].mean())
    assert means["similarity/queue"] == pytest.approx(0.5 * rows[:, 1:7].mean())
    assert means["similarity/nonsem"] == pytest.approx(0.5 / 3 * rows[:, 7:].mean())
    assert "similarity/nonsem" not in Tally.means(tally.state, 0)
