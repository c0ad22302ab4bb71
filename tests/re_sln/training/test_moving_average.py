import copy

import numpy as np
import pytest
import torch
from torch import nn

from re_sln.training.moving_average import start_moving_average, update_moving_average
from re_sln.training.wide_resnet import build_network


def filled(seed):
    """A network every entry of whose state is another random number, in float64; counters too."""
    network = build_network("wrn-10-1", 3, seed)[0].double()
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.copy_(torch.rand(value.shape, generator=rng) * 100)
    return network


def test_worked_example():
    average, model = nn.Linear(1, 1).double(), nn.Linear(1, 1).double()
    nn.init.constant_(average.weight, 2)
    nn.init.constant_(model.weight, 5)
    update_moving_average(average, model, 0.999)
    assert average.weight.item() == pytest.approx(2.003, abs=1e-12)
    assert model.weight.item() == 5


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999, 1.0])
def test_every_floating_entry_moves_and_counters_are_copied(decay):
    average, model = filled(1), filled(2)
    before, theirs = copy.deepcopy(average.state_dict()), copy.deepcopy(model.state_dict())
    update_moving_average(average, model, decay)
    counters = 0
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            for new, old, other in zip(value.flatten()[:7], before[name].flatten(), theirs[name].flatten()):  # noqa: B905
                assert new.item() == pytest.approx(decay * old.item() + (1 - decay) * other.item(), rel=1e-12)
            np.testing.assert_allclose(value, decay * before[name] + (1 - decay) * theirs[name], rtol=1e-12)
        else:
            counters += 1
            assert torch.equal(value, theirs[name])
        assert torch.equal(model.state_dict()[name], theirs[name])
    assert counters == sum(isinstance(part, nn.BatchNorm2d) for part in model.modules())


@pytest.mark.parametrize("steps, share", [(391, 0.6762), (782, 0.4573), (3910, 0.0200)])
def test_what_is_left_of_the_start_after_some_steps(steps, share):
    average, model = nn.Linear(1, 1, bias=False).double(), nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(average.weight, 1)
    nn.init.constant_(model.weight, 0)
    for _ in range(steps):
        update_moving_average(average, model, 0.999)
    assert average.weight.item() == pytest.approx(share, abs=5e-5)


def test_no_gradient_is_recorded():
    average, model = filled(1), filled(2)
    update_moving_average(average, model, 0.5)
    assert all(parameter.grad_fn is None and parameter.is_leaf for parameter in average.parameters())


def test_the_model_starts_from_the_averages_weights_and_shares_none():
    average, model = filled(1), filled(2)
    before = copy.deepcopy(average.state_dict())
    start_moving_average(average, model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        assert torch.equal(average.state_dict()[name], before[name])
        assert value.data_ptr() != average.state_dict()[name].data_ptr()
