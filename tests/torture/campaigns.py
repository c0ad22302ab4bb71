"""What `make torture` runs. A campaign is a function `campaign(seed, count, seconds)` in a module of its own.

It tries `count` cases at most, for `seconds` at most, and returns {"counts": {what was counted: number},
"failures": [a sentence each]}. The same seed gives the same cases.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

TENSORFLOW, PYTORCH = "tensorflow", "pytorch"


@dataclass(frozen=True)
class Campaign:
    """Where a campaign is, its usual number of cases, and the environments that run it; none: whichever is there."""

    place: str
    count: int
    environments: tuple[str, ...] = ()

    def function(self) -> Callable[[int, int, float], dict]:
        """The function at `place`, which is "module:name" within tests.torture."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(f"tests.torture.{module}"), name)


CAMPAIGNS: dict[str, Campaign] = {
    "kills": Campaign("kills:campaign", 500, (TENSORFLOW, PYTORCH)),
    "damaged-images": Campaign("damaged_images:campaign", 10_000, (TENSORFLOW, PYTORCH)),
    "damaged-files": Campaign("damaged_files:campaign", 20_000, (TENSORFLOW, PYTORCH)),
    "two-at-once": Campaign("two_at_once:campaign", 120),
    "killed-builder": Campaign("killed_builder:campaign", 200),
    "command-lines": Campaign("command_lines:campaign", 40_000, (TENSORFLOW, PYTORCH)),
}
