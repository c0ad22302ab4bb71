"""The CIFAR ResNets of two 3×3 convolutions a block: resnet32 (v1) of the long-tailed tables, resnet18 (v2)."""

from __future__ import annotations

from ieg.networks.wide_resnet import shortcut

STAGES = ((16, 1), (32, 2), (64, 2))  # width, stride of the first block


def resnet32(layers, images, blocks_per_stage: int = 5):
    """Features [B,64] of images [B,H,W,3]: post-activation blocks, depth 6n+2."""
    x = stem(layers, images)
    for name, out, stride in blocks(blocks_per_stage):
        x = post_activation_block(layers, name, x, out, stride)
    return layers.global_average_pool(x)  # [B,8,8,64] to [B,64]


def resnet18(layers, images, blocks_per_stage: int = 3):
    """Features [B,64] of images [B,H,W,3]: pre-activation blocks, 20 layers; the authors end it without BN-ReLU."""
    x = stem(layers, images)
    for name, out, stride in blocks(blocks_per_stage):
        x = pre_activation_block(layers, name, x, out, stride)
    return layers.global_average_pool(x)


def stem(layers, images):
    """3×3 convolution, BN, ReLU: [B,H,W,16]."""
    return layers.relu(layers.batch_norm("stem/bn", layers.conv("stem/conv", layers.input(images), 3, 16)))


def blocks(per_stage: int):
    """Name, width and stride of every block."""
    for stage, (out, stride) in enumerate(STAGES, start=1):
        for block in range(1, per_stage + 1):
            yield f"stage{stage}/block{block}", out, stride if block == 1 else 1


def post_activation_block(layers, name, x, out, stride):
    """Conv-BN-ReLU-conv-BN beside a shortcut, and ReLU on their sum."""
    y = layers.conv(f"{name}/conv1", x, 3, out, stride, padding="SYMMETRIC")
    y = layers.conv(f"{name}/conv2", layers.relu(layers.batch_norm(f"{name}/bn1", y)), 3, out)
    return layers.relu(layers.add(layers.batch_norm(f"{name}/bn2", y), shortcut(layers, x, out, stride)))


def pre_activation_block(layers, name, x, out, stride):
    """BN-ReLU-conv twice beside a shortcut."""
    y = layers.relu(layers.batch_norm(f"{name}/bn1", x))
    y = layers.conv(f"{name}/conv1", y, 3, out, stride, padding="SYMMETRIC")
    y = layers.conv(f"{name}/conv2", layers.relu(layers.batch_norm(f"{name}/bn2", y)), 3, out)
    return layers.add(y, shortcut(layers, x, out, stride))
