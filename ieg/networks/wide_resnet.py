"""The wide residual network of the papers' CIFAR tables: WRN-28-10, and smaller ones of the same text."""

from __future__ import annotations


def wide_resnet(layers, images, blocks_per_stage: int = 4, width: int = 160):
    """Features [B,4·width] of images [B,H,W,3].

    Pre-activation blocks of two 3×3 convolutions; shortcuts are average pooling and zero channels; an extra skip spans
    every stage, and one more the whole body from the stem to the last block.
    """
    stem = layers.conv("stem/conv", layers.input(images), 3, 16)  # [B,32,32,16]
    x = stem
    for stage, stride in enumerate((1, 2, 2), start=1):
        out, entry = width * 2 ** (stage - 1), x
        for block in range(1, blocks_per_stage + 1):
            x = residual_block(
                layers,
                f"stage{stage}/block{block}",
                x,
                out,
                stride if block == 1 else 1,
                shares_activation=(stage, block) == (1, 1),
            )
        x = layers.add(x, shortcut(layers, entry, out, stride))
    x = layers.add(x, shortcut(layers, stem, out, 4))
    x = layers.relu(layers.batch_norm("final/bn", x))  # [B,8,8,4·width]
    return layers.global_average_pool(x)


def residual_block(layers, name, x, out, stride, shares_activation):
    """Two BN-ReLU-3×3 convolutions beside a shortcut; the first block of all takes the shortcut after its BN-ReLU."""
    activated = layers.relu(layers.batch_norm(f"{name}/bn1", x))
    y = layers.conv(f"{name}/conv1", activated, 3, out, stride)
    y = layers.conv(f"{name}/conv2", layers.relu(layers.batch_norm(f"{name}/bn2", y)), 3, out)
    return layers.add(y, shortcut(layers, activated if shares_activation else x, out, stride))


def shortcut(layers, x, out, stride):
    """X itself, or where the width changes average-pooled by `stride` and padded with zero channels to `out`."""
    return x if layers.width(x) == out else layers.pad_channels(layers.average_pool(x, stride), out)
