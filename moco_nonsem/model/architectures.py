"""Names of the networks; torch is not loaded to know them."""

from __future__ import annotations

from common.errors import UsageError

SMALL = "resnet10-small"
ARCHITECTURES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
    SMALL,
)


def stride_of(arch: str) -> int:
    """How many pixels of an image's side are one of the last layers'."""
    return 16 if arch == SMALL else 32


def check_arch(arch: str) -> None:
    """Raises: UsageError for an unknown network."""
    if arch not in ARCHITECTURES:
        raise UsageError(f"--arch={arch} is not one of {', '.join(ARCHITECTURES)}")
