"""The bottleneck ResNet v2 of the IEG paper's CIFAR tables: depth 9n+2, n = 3 (29), n = 1 (11, ours)."""

from __future__ import annotations

STAGES = ((16, 64, 1), (64, 128, 2), (128, 256, 2))  # inner width, output width, stride of the first block


def resnet29(layers, images, blocks_per_stage: int = 3):
    """Features [B,256] of images [B,H,W,3].

    Quirk of all the authors' releases, kept: the first 1×1 convolution of a bottleneck follows batch norm *without*
    ReLU, and in the very first block it follows neither.
    """
    x = layers.conv("stem/conv", layers.input(images), 3, 16)  # [B,32,32,16]
    x = layers.relu(layers.batch_norm("stem/bn", x))
    for stage, (inner, out, stride) in enumerate(STAGES, start=1):
        for block in range(1, blocks_per_stage + 1):
            name = f"stage{stage}/block{block}"
            x = bottleneck(
                layers,
                name,
                x,
                inner,
                out,
                stride if block == 1 else 1,
                widens=block == 1,
                normalizes=(stage, block) != (1, 1),
            )
    x = layers.relu(layers.batch_norm("final/bn", x))  # [B,8,8,256]
    return layers.global_average_pool(x)


def bottleneck(layers, name, x, inner, out, stride, widens, normalizes):
    """1×1 (stride), 3×3, 1×1 convolutions beside a shortcut: a strided 1×1 convolution where the width changes."""
    shortcut = layers.conv(f"{name}/shortcut", x, 1, out, stride) if widens else x
    y = layers.batch_norm(f"{name}/bn1", x) if normalizes else x
    y = layers.conv(f"{name}/conv1", y, 1, inner, stride)
    y = layers.conv(f"{name}/conv2", layers.relu(layers.batch_norm(f"{name}/bn2", y)), 3, inner)
    y = layers.conv(f"{name}/conv3", layers.relu(layers.batch_norm(f"{name}/bn3", y)), 1, out)
    return layers.add(y, shortcut)
