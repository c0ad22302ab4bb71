"""Encoders, and batch norm over parts of a batch."""

import pytest
import torch
from torch import nn

from common.errors import UsageError
from moco_nonsem.model.encoder import build_encoder, build_network, feature_width, features_of
from moco_nonsem.model.moco import MoCo
from moco_nonsem.model.split_batch_norm import SplitBatchNorm2d
from moco_nonsem.pretraining.config import resolve
from moco_nonsem.running.flags import PretrainFlags


def parameters(network):
    return sum(value.numel() for value in network.parameters())


def test_golden_parameter_counts():
    encoder = build_encoder("resnet50", 128, True, 0)
    assert parameters(encoder) == 27_966_656
    head = encoder.fc
    assert [(part.in_features, part.out_features) for part in head if isinstance(part, nn.Linear)] == [
        (2048, 2048),
        (2048, 128),
    ]
    assert parameters(encoder) - parameters(head[0]) == 23_770_304
    linear = nn.Linear(2048, 1000)
    assert parameters(linear) == 2_049_000
    assert parameters(encoder) - parameters(head) + parameters(linear) == 25_557_032


@pytest.mark.parametrize("arch", ["resnet10-small", "resnet18"])
def test_same_seed_same_weights_and_torchs_generator_is_left_alone(arch):
    state = torch.random.get_rng_state()
    one, same, other = (build_encoder(arch, 8, True, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(one[name], same[name]) for name in one)
    for name in ("conv1.weight", "fc.0.weight", "fc.2.weight"):
        assert not torch.equal(one[name], other[name])


def test_the_small_encoder():
    network = build_encoder("resnet10-small", 8, False, 0)
    for size in (32, 48):
        images = torch.randn(2, 3, size, size)
        assert network(images).shape == (2, 8)
        assert features_of(network, images).shape == (2, feature_width(network)) == (2, 256)
    assert parameters(network) < 1.3e6
    assert feature_width(build_encoder("resnet10-small", 8, True, 0)) == 256


def test_moco_begins_with_equal_encoders_and_the_authors_names():
    model = MoCo("resnet10-small", 8, 16, True, 0)
    query, key = model.encoder_q.state_dict(), model.encoder_k.state_dict()
    assert all(torch.equal(query[name], key[name]) for name in query)
    assert all(value.requires_grad for value in model.encoder_q.parameters())
    assert not any(value.requires_grad for value in model.encoder_k.parameters())
    assert {name.split(".")[0] for name in model.state_dict()} == {"encoder_q", "encoder_k", "queue", "queue_ptr"}
    assert model.queue.shape == (8, 16) and model.queue_ptr.dtype == torch.long and model.queue_ptr.shape == (1,)
    assert "encoder_q.fc.2.weight" in model.state_dict() and "encoder_q.layer1.0.bn1.running_mean" in model.state_dict()


def test_parts_of_a_batch_are_normalised_apart():
    images = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 3 + 1
    split = SplitBatchNorm2d(3, splits=4)
    ones = [nn.BatchNorm2d(3) for _ in range(4)]
    with torch.no_grad():
        for network in (split, *ones):
            network.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
            network.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
    found = split(images)
    expected = torch.cat([network(part) for network, part in zip(ones, images.chunk(4), strict=True)])
    assert torch.equal(found, expected)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(split, name), torch.stack([getattr(one, name) for one in ones]).mean(dim=0))
    assert split.num_batches_tracked.item() == 1
    assert not torch.allclose(nn.BatchNorm2d(3)(images), found, atol=0.1)


def test_split_batch_norm_is_batch_norm_in_eval_mode_and_with_one_part():
    images = torch.randn(6, 2, 3, 3)
    plain, split, single = nn.BatchNorm2d(2), SplitBatchNorm2d(2, splits=3), SplitBatchNorm2d(2, splits=1)
    assert torch.equal(plain(images), single(images)) and torch.equal(plain.running_var, single.running_var)
    split.load_state_dict(plain.state_dict())
    plain.eval(), split.eval()
    assert torch.equal(plain(images), split(images))


def test_a_network_with_parts_has_the_same_names():
    plain, split = build_network("resnet18", 10, 0), build_network("resnet18", 10, 0, bn_splits=2)
    assert plain.state_dict().keys() == split.state_dict().keys()
    assert sum(isinstance(module, SplitBatchNorm2d) for module in split.modules()) == 20


@pytest.mark.parametrize("arch, size", [("resnet10-small", 16), ("resnet18", 32), ("resnet50", 32)])
def test_parts_of_one_image_are_refused_where_batch_norm_would_see_one_value(arch, size):
    encoder = build_network(arch, 10, 0, bn_splits=2)
    flags = {"data": "x", "arch": arch, "batch_size": 2, "moco_k": 8, "bn_splits": 2}
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        encoder(torch.zeros(2, 3, size, size))
    with pytest.raises(UsageError, match=f"--image-size={size}: .* --image-size={size + 1} or more"):
        resolve(PretrainFlags(image_size=size, **flags))
    encoder(torch.zeros(2, 3, size + 1, size + 1))
    resolve(PretrainFlags(image_size=size + 1, **flags))
    for more in ({"bn_splits": 1}, {"batch_size": 4}):
        resolve(PretrainFlags(image_size=size, **(flags | more)))


def test_processes_of_one_image_are_refused_too():
    with pytest.raises(UsageError, match=r"--batch-size=2 in 2 part\(s\)"):
        resolve(PretrainFlags(data="x", image_size=32, batch_size=2, moco_k=8), world_size=2)
