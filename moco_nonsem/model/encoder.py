"""The encoders: torchvision's ResNets with MoCo's head, and our own small one."""

from __future__ import annotations

from functools import partial

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, conv1x1

from moco_nonsem.model.architectures import SMALL
from moco_nonsem.model.split_batch_norm import SplitBatchNorm2d


class SmallResNet(nn.Module):
    """A ResNet-10 of half the width for images of 24-48 pixels; not in the papers.

    [N, 3, H, W] → [N, num_classes]; its parts have the names of torchvision's ResNets.
    """

    def __init__(self, num_classes: int, norm_layer=nn.BatchNorm2d) -> None:
        super().__init__()
        widths = (32, 64, 128, 256)
        self.conv1 = nn.Conv2d(3, widths[0], 3, stride=2, padding=1, bias=False)
        self.bn1 = norm_layer(widths[0])
        self.relu = nn.ReLU(inplace=True)
        for number, (before, width) in enumerate(zip((widths[0], *widths[:-1]), widths, strict=True), 1):
            stride = 1 if number == 1 else 2
            downsample = None if number == 1 else nn.Sequential(conv1x1(before, width, stride), norm_layer(width))
            block = BasicBlock(before, width, stride, downsample, norm_layer=norm_layer)
            setattr(self, f"layer{number}", nn.Sequential(block))
        self.fc = nn.Linear(widths[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits, or whatever `fc` gives."""
        values = self.relu(self.bn1(self.conv1(images)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            values = stage(values)
        return self.fc(values.mean(dim=(2, 3)))


def build_network(arch: str, num_classes: int, seed: int, bn_splits: int = 1) -> nn.Module:
    """A network that ends in a linear layer `fc`, initialised from `seed`; torch's own generator is left as it was."""
    norm_layer = partial(SplitBatchNorm2d, splits=bn_splits) if bn_splits > 1 else nn.BatchNorm2d
    make = SmallResNet if arch == SMALL else torchvision.models.__dict__[arch]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(num_classes=num_classes, norm_layer=norm_layer)


def build_encoder(arch: str, dim: int, mlp: bool, seed: int, bn_splits: int = 1) -> nn.Module:
    """An encoder [N, 3, H, W] → [N, dim]: backbone, then one linear layer, or with `mlp` Linear, ReLU, Linear."""
    encoder = build_network(arch, dim, seed, bn_splits)
    if mlp:
        width = encoder.fc.in_features
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            encoder.fc = nn.Sequential(nn.Linear(width, width), nn.ReLU(), encoder.fc)
    return encoder


def features_of(encoder: nn.Module, images: Tensor) -> Tensor:
    """What an encoder's head is given: [N, 3, H, W] → [N, D]."""
    caught: list[Tensor] = []
    handle = encoder.fc.register_forward_pre_hook(lambda _module, inputs: caught.append(inputs[0]))  # type: ignore[union-attr]
    try:
        encoder(images)
    finally:
        handle.remove()
    return caught[0]


def feature_width(encoder: nn.Module) -> int:
    """D of `features_of`."""
    head = encoder.fc
    return (head[0] if isinstance(head, nn.Sequential) else head).in_features  # type: ignore[union-attr, return-value]
