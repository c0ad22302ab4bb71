"""The ImageNet ResNet-50 v2 (arXiv 1603.05027) of the WebVision tables."""

from __future__ import annotations

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # inner width, blocks, stride of the first block


def resnet50(layers, images):
    """Features [B,2048] of images [B,H,W,3]; the stem has no batch norm, the end has BN-ReLU."""
    x = layers.conv("stem/conv", layers.input(images), 7, 64, 2, padding="SYMMETRIC")  # [B,112,112,64]
    x = layers.max_pool(x, 3, 2)  # [B,56,56,64]
    for stage, (inner, blocks, stride) in enumerate(STAGES, start=1):
        for block in range(1, blocks + 1):
            name = f"stage{stage}/block{block}"
            x = bottleneck(layers, name, x, inner, stride if block == 1 else 1, projects=block == 1)
    x = layers.relu(layers.batch_norm("final/bn", x))  # [B,7,7,2048]
    return layers.global_average_pool(x)


def bottleneck(layers, name, x, inner, stride, projects):
    """1×1, 3×3 (stride), 1×1 to 4·inner, each after BN-ReLU; a stage's first block projects its activated input."""
    activated = layers.relu(layers.batch_norm(f"{name}/bn1", x))
    shortcut = layers.conv(f"{name}/shortcut", activated, 1, 4 * inner, stride) if projects else x
    y = layers.conv(f"{name}/conv1", activated, 1, inner)
    y = layers.relu(layers.batch_norm(f"{name}/bn2", y))
    y = layers.conv(f"{name}/conv2", y, 3, inner, stride, padding="SYMMETRIC")
    y = layers.conv(f"{name}/conv3", layers.relu(layers.batch_norm(f"{name}/bn3", y)), 1, 4 * inner)
    return layers.add(y, shortcut)
