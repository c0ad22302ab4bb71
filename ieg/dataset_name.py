"""The grammar of --dataset: `cifar10|cifar100|digits`, alone or + `_uniform_R` | `_asymmetric_R`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ieg.errors import UsageError

SIZES = {"cifar10": (50000, 10), "cifar100": (50000, 100), "digits": (1437, 10)}  # training images, classes
LATER = re.compile(r"^(cifar10|cifar100)_imbal_|^webvisionmini")


@dataclass(frozen=True)
class DatasetName:
    """What a --dataset string says. noise is 'none', 'uniform' or 'asymmetric'; ratio in [0,1], 0 without noise."""

    base: str
    noise: str
    ratio: float
    num_train: int
    num_classes: int


def parse_dataset_name(text: str) -> DatasetName:
    """Raises: UsageError outside the grammar, for asymmetric noise but on CIFAR-10, for ratios outside [0,1]."""
    if LATER.match(text):
        raise UsageError(
            f"--dataset={text}: long-tailed CIFAR and WebVision are not in this release yet; "
            "use cifar10, cifar100 or digits, with _uniform_R or _asymmetric_R"
        )
    base, _, rest = text.partition("_")
    noise, _, ratio = rest.partition("_")
    if base not in SIZES or (rest and noise not in ("uniform", "asymmetric")):
        raise UsageError(
            f"--dataset={text} is not a known name: expected {'|'.join(SIZES)}, alone or followed by "
            "_uniform_R or _asymmetric_R, such as cifar100_uniform_0.8"
        )
    if not rest:
        return DatasetName(base, "none", 0.0, *SIZES[base])
    try:
        value = float(ratio)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"--dataset={text}: the noise ratio {ratio!r} is not a number between 0 and 1")
    if noise == "asymmetric" and base != "cifar10":
        raise UsageError(f"--dataset={text}: asymmetric noise is defined on CIFAR-10 only; use {base}_uniform_{ratio}")
    return DatasetName(base, noise, value, *SIZES[base])
