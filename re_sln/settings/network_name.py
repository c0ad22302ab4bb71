"""Names of networks: `wrn-DEPTH-WIDENING`, and `resnet50` on Clothing1M."""

from __future__ import annotations

import re

from common.errors import UsageError


def parse_network(name: str) -> tuple[int, int]:
    """(depth, widening) of e.g. `wrn-28-2`. Raises: UsageError."""
    match = re.fullmatch(r"wrn-(\d+)-(\d+)", name)
    if not match or int(match[1]) < 10 or (int(match[1]) - 4) % 6 or int(match[2]) < 1:
        raise UsageError(
            f"--network={name}: a name is wrn-DEPTH-WIDENING with a depth of 10, 16, 22, 28 …, such as wrn-28-2"
        )
    return int(match[1]), int(match[2])


def check_network(name: str, takes_resnet50: bool) -> None:
    """Raises: UsageError for a name that is none, or resnet50 where the program has no --weights for it."""
    if name != "resnet50":
        parse_network(name)
    elif not takes_resnet50:
        raise UsageError("--network=resnet50: train_clothing1m.py alone has it; choose one such as wrn-28-2")
