"""Small trees, small runs and what a run left behind, for several tests."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

CLASSES = ("n01", "n02", "n03")
# Three steps an epoch of 26 images; the queue comes round within an epoch.
SMALL = ["--arch=resnet10-small", "--image-size=16", "--batch-size=8", "--moco-k=16", "--moco-dim=8", "--workers=0",
         "--lr=0.05", "--moco-t=0.2", "--bn-splits=2", "--mlp", "--aug-plus"]  # fmt: skip
PATCH = [*SMALL, "--robust=patch", "--patch-ratio", "3", "7", "--alpha=2"]
LINEAR = ["--arch=resnet10-small", "--image-size=16", "--batch-size=8", "--workers=0", "--lr=0.05"]


def make_tree(root: Path, train: int = 9, val: int = 3, size: int = 24, part: str = "") -> Path:
    """The last class has one image less in train/."""
    rng = np.random.default_rng(0)
    for place, name in enumerate(CLASSES):
        pattern = rng.integers(0, 256, (4, 4, 3))
        for kind, count in (("train", train - (place == 2)), ("val", val)):
            folder = root / kind / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.kron(pattern, np.ones((size // 4, size // 4, 1))) + rng.normal(0, 25, (size, size, 3))
                image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                image.save(folder / f"{name}_{number}.JPEG", quality=95)
    return root


def texture_tree(root: Path) -> Path:
    """The tree of textures that mirrors `root`, with files left over as the authors' program leaves them."""
    textures = root.with_name(root.name + "-texture")
    rng = np.random.default_rng(1)
    for path in sorted(root.rglob("*.JPEG")):
        target = textures / path.relative_to(root).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        for name in (target.name, f"texture1_{target.name}"):
            Image.fromarray(rng.integers(0, 256, (24, 24, 3)).astype(np.uint8)).save(target.with_name(name))
    return textures


def tensors(content, prefix: str = "") -> dict[str, torch.Tensor]:
    """Every tensor and number in nested mappings and lists, by its path."""
    if isinstance(content, torch.Tensor):
        return {prefix: content}
    if isinstance(content, (int, float)):
        return {prefix: torch.tensor(float(content), dtype=torch.float64)}
    if not isinstance(content, (dict, list, tuple)):
        return {}
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    return {name: value for key, part in pairs for name, value in tensors(part, f"{prefix}/{key}").items()}


def assert_same_bits(one, other) -> None:
    mine, theirs = tensors(one), tensors(other)
    assert mine.keys() == theirs.keys()
    different = [name for name in mine if not torch.equal(mine[name], theirs[name])]
    assert different == []
