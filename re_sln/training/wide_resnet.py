"""Wide residual networks, WRN-depth-widening, as the published runs have them. WRN-28-2: 1,469,642 parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from re_sln.settings.names import parse_network


class Block(nn.Module):
    """BN-ReLU-conv3×3-BN-ReLU-conv3×3(stride), and a 1×1 convolution of the raw input where the shape changes."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1)
        changes = stride != 1 or channels_in != channels
        self.shortcut = nn.Conv2d(channels_in, channels, 1, stride=stride) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels_in, H, W] → [B, channels, H / stride, W / stride]."""
        out = self.conv1(functional.relu(self.bn1(x)))
        out = self.conv2(functional.relu(self.bn2(out)))
        return out + self.shortcut(x)


class WideResNet(nn.Module):
    """Three stages of (depth − 4) / 6 blocks, 16, 32, 64 times `widening` channels, strides 1, 2, 2.

    PyTorch's own initial values. `parse_network` knows which depths there are.
    """

    def __init__(self, depth: int, widening: int, num_classes: int) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        widths = [16 * widening, 32 * widening, 64 * widening]
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.layer1 = _stage(16, widths[0], blocks, 1)
        self.layer2 = _stage(widths[0], widths[1], blocks, 2)
        self.layer3 = _stage(widths[1], widths[2], blocks, 2)
        self.bn1 = nn.BatchNorm2d(widths[2], momentum=0.9)
        self.linear = nn.Linear(widths[2], num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Images, float [B, 3, H, W] → float [B, 64 · widening]: the average of the last map (8×8 for 32×32)."""
        out = self.layer3(self.layer2(self.layer1(self.conv1(x))))  # [B, 64w, H/4, W/4]
        return functional.relu(self.bn1(out)).mean(dim=(2, 3))  # [B, 64w]

    def forward(self, x: Tensor) -> Tensor:
        """Images, float [B, 3, H, W] → logits, float [B, num_classes]."""
        return self.linear(self.features(x))


def _stage(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = Block(channels_in, channels, stride)
    return nn.Sequential(first, *(Block(channels, channels, 1) for _ in range(blocks - 1)))


def build_network(name: str, num_classes: int, seed: int, count: int = 1) -> list[nn.Module]:
    """`count` networks with different initial values, all from `seed`; torch's global generator is left as it was."""
    depth, widening = parse_network(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return [WideResNet(depth, widening, num_classes) for _ in range(count)]
