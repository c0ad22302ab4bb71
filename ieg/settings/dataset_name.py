"""The grammar of --dataset, e.g. `cifar100_uniform_0.8`, `cifar10_imbal_0.02_0.2`, `webvisionmini_10`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from common.errors import UsageError

SIZES = {"cifar10": (50000, 10), "cifar100": (50000, 100), "digits": (1437, 10)}  # training images, classes
LARGEST = {"cifar10": 5000, "cifar100": 500, "digits": 139}  # what every class has at least
WEBVISION_CLASSES = 50
WEBVISION_SIZE = 66000  # about; the folder tells
GRAMMAR = (
    f"{'|'.join(SIZES)}, alone or followed by _uniform_R, _asymmetric_R, _imbal_F or _imbal_F_R, such as "
    "cifar100_uniform_0.8 or cifar10_imbal_0.02, or webvisionmini or webvisionmini_N"
)


@dataclass(frozen=True)
class DatasetName:
    """What a --dataset string says.

    noise is 'none', 'uniform' or 'asymmetric'; ratio in [0,1], 0 without noise. imbalance: F = n_min/n_max in (0,1],
    None for a set as it is. probes_per_class: N of webvisionmini_N, whose trusted images are a separate set.
    """

    base: str
    noise: str
    ratio: float
    num_train: int
    num_classes: int
    imbalance: float | None = None
    probes_per_class: int | None = None

    @property
    def is_webvision(self) -> bool:
        """Whether the images are files, read as they are needed."""
        return self.base == "webvisionmini"

    @property
    def counts(self) -> list[int] | None:
        """Examples of every class of a long-tailed set; None for another."""
        if self.imbalance is None:
            return None
        return class_counts(LARGEST[self.base], self.imbalance, self.num_classes)


def parse_dataset_name(text: str) -> DatasetName:
    """Raises: UsageError outside the grammar, for asymmetric noise but on CIFAR-10, for numbers out of their range."""
    base, *parts = text.split("_")
    if base == "webvisionmini":
        return webvision_name(text, parts)
    kind = parts[0] if parts else ""
    if base not in SIZES or kind not in ("", "uniform", "asymmetric", "imbal") or len(parts) > 2 + (kind == "imbal"):
        raise UsageError(f"--dataset={text} is not a known name: expected {GRAMMAR}")
    if kind == "imbal":
        return long_tail_name(text, base, parts[1:])
    if not kind:
        return DatasetName(base, "none", 0.0, *SIZES[base])
    value = noise_ratio(text, parts[1:])
    if kind == "asymmetric" and base != "cifar10":
        raise UsageError(
            f"--dataset={text}: asymmetric noise is defined on CIFAR-10 only; use {base}_uniform_{parts[1]}"
        )
    return DatasetName(base, kind, value, *SIZES[base])


def long_tail_name(text: str, base: str, parts: list[str]) -> DatasetName:
    """`_imbal_F` and `_imbal_F_R`. Raises: UsageError for F outside (0,1] and for one that empties a class."""
    factor, classes = number(parts[:1]), SIZES[base][1]
    if not 0 < factor <= 1:
        raise UsageError(
            f"--dataset={text}: the imbalance {parts[0] if parts else ''!r} is not a number above 0 and up to 1, the "
            "smallest class's share of the largest, such as 0.02"
        )
    counts = class_counts(LARGEST[base], factor, classes)
    if counts[-1] == 0:
        raise UsageError(
            f"--dataset={text}: the largest class has {LARGEST[base]} examples, {factor:g} of that leaves none for the "
            f"smallest; use {1 / LARGEST[base]:.4g} or more"
        )
    noise = ("uniform", noise_ratio(text, parts[1:])) if len(parts) > 1 else ("none", 0.0)
    return DatasetName(base, *noise, sum(counts), classes, imbalance=factor)


def webvision_name(text: str, parts: list[str]) -> DatasetName:
    """`webvisionmini` and `webvisionmini_N`, N probe images a class. Raises: UsageError for anything else."""
    per_class = parts[0] if parts else "10"
    if len(parts) > 1 or not re.fullmatch(r"[1-9]\d{0,3}", per_class):
        raise UsageError(f"--dataset={text}: expected webvisionmini or webvisionmini_N, N ≥ 1 trusted images a class")
    return DatasetName("webvisionmini", "none", 0.0, WEBVISION_SIZE, WEBVISION_CLASSES, probes_per_class=int(per_class))


def noise_ratio(text: str, parts: list[str]) -> float:
    """Raises: UsageError outside [0,1]."""
    value = number(parts)
    if not 0 <= value <= 1:
        given = parts[0] if parts else ""
        raise UsageError(f"--dataset={text}: the noise ratio {given!r} is not a number between 0 and 1")
    return value


def number(parts: list[str]) -> float:
    """The first part as a number; −1 where there is none."""
    try:
        return float(parts[0])
    except (IndexError, ValueError):
        return -1.0


def class_counts(largest: int, factor: float, num_classes: int) -> list[int]:
    """n_k = ⌊n_max·F^(k/(C−1))⌋, k = 0…C−1, as in class-balanced loss (arXiv 1901.05555): falls from n_max to F·n_max.

    Args: largest: n_max; factor: F = n_min/n_max in (0,1]; num_classes: C ≥ 2. Returns: C counts.
    """
    exact = [largest * factor ** (k / (num_classes - 1)) for k in range(num_classes)]
    return [math.floor(round(count, 6)) for count in exact]  # 500·0.57 is 284.99999999999994
