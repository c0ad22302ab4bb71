import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from common.errors import UsageError
from re_sln.training.wide_resnet import Block, build_network


def parts(network, kind):
    return {name: part for name, part in network.named_modules() if isinstance(part, kind)}


@pytest.mark.parametrize("classes, parameters", [(10, 1469642), (100, 1481252), (14, 1470158)])
def test_wrn_28_2_has_the_published_programs_sizes(classes, parameters):
    (network,) = build_network("wrn-28-2", classes, 0)
    tensors, buffers = list(network.parameters()), list(network.buffers())
    assert sum(value.numel() for value in tensors) == parameters
    assert (len(tensors), len(buffers), len(network.state_dict())) == (108, 75, 183)
    floating = [value for value in buffers if value.is_floating_point()]
    assert (len(floating), sum(value.numel() for value in floating)) == (50, 3616)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, classes)
    assert network.features(torch.zeros(2, 3, 32, 32)).shape == (2, 128)


def test_strides_momenta_biases_and_shortcuts():
    (network,) = build_network("wrn-28-2", 10, 0)
    convolutions = parts(network, nn.Conv2d)
    assert {name for name, part in convolutions.items() if part.stride == (2, 2)} == {
        "layer2.0.conv2", "layer2.0.shortcut", "layer3.0.conv2", "layer3.0.shortcut"
    }  # fmt: skip
    assert {name for name, part in convolutions.items() if part.kernel_size == (1, 1)} == {
        f"layer{stage}.0.shortcut" for stage in (1, 2, 3)
    }
    assert all(part.bias is not None for part in convolutions.values())
    norms = parts(network, nn.BatchNorm2d)
    assert len(norms) == 25
    assert {name: part.momentum for name, part in norms.items() if part.momentum != 0.1} == {"bn1": 0.9}
    assert [part.out_channels for name, part in convolutions.items() if name.endswith("0.conv1")] == [32, 64, 128]


@pytest.mark.parametrize("channels_in, channels, stride", [(4, 4, 1), (4, 6, 1), (4, 4, 2), (4, 6, 2)])
def test_a_block_adds_the_raw_input(channels_in, channels, stride):
    torch.manual_seed(0)
    block, x = Block(channels_in, channels, stride).double(), torch.randn(3, channels_in, 6, 6, dtype=torch.float64)

    def norm(part, value):
        mean = value.mean(dim=(0, 2, 3), keepdim=True)
        spread = ((value - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        return (value - mean) / (spread + part.eps) ** 0.5

    out = functional.conv2d(norm(block.bn1, x).clamp(min=0), block.conv1.weight, block.conv1.bias, padding=1)
    out = functional.conv2d(
        norm(block.bn2, out).clamp(min=0), block.conv2.weight, block.conv2.bias, stride=stride, padding=1
    )
    raw = x
    if (channels_in, stride) != (channels, 1):
        raw = functional.conv2d(x, block.shortcut.weight, block.shortcut.bias, stride=stride)
    np.testing.assert_allclose(block(x).detach(), (out + raw).detach(), atol=1e-12)


def test_initial_values_are_pytorchs_own():
    """Uniform within 1/√fan_in, kernels and biases; batch norm begins with 1 and 0."""
    (network,) = build_network("wrn-28-2", 10, 0)
    for part in network.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            bound = part.weight[0].numel() ** -0.5
            assert 0.9 * bound < part.weight.abs().max() <= bound
            assert part.bias.abs().max() <= bound
        if isinstance(part, nn.BatchNorm2d):
            assert (part.weight == 1).all() and (part.bias == 0).all() and (part.running_var == 1).all()


def test_the_seed_decides_and_global_generators_are_left_alone():
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002
    first, second = build_network("wrn-10-1", 10, 5, 2)
    again, other = build_network("wrn-10-1", 10, 5, 2), build_network("wrn-10-1", 10, 6)[0]
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tobytes() == states[2]  # noqa: NPY002
    for name, value in first.state_dict().items():
        assert torch.equal(value, again[0].state_dict()[name])
    assert not torch.equal(first.conv1.weight, second.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)
    # of one seed, the model is the same whether an average is kept beside it or not
    assert torch.equal(first.conv1.weight, build_network("wrn-10-1", 10, 5)[0].conv1.weight)


def test_other_sizes():
    (network,) = build_network("wrn-16-4", 10, 0)
    assert network.features(torch.zeros(2, 3, 8, 8)).shape == (2, 256)
    assert len(network.layer1) == 2


@pytest.mark.parametrize("name", ["wrn-11-2", "wrn-4-1", "wrn-28-0", "wrn-28", "resnet18", "WRN-28-2", "wrn-28-2 "])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(UsageError, match="wrn-DEPTH-WIDENING"):
        build_network(name, 10, 0)
