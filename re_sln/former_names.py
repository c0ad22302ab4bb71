"""`rerun`, the re-implementation behind the published runs, was once called `seed`.

Commands, records, checkpoints and custom noise files made under that name stay valid: flags accept it, config.yml keeps
it, because its hash is the run's identity, and files marked with it are found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RERUN, FORMER = "rerun", "seed"
FLAGS = ("norm", "train_accuracy", "custom_rng", "asym_rules")


def present_name(value: str) -> str:
    """The value of one of FLAGS as it is called today."""
    return RERUN if value == FORMER else value


def to_recorded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as config.yml holds them."""
    return _replaced(settings, RERUN, FORMER)


def from_recorded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a config.yml, of whichever age, in the words of the flags."""
    return _replaced(settings, FORMER, RERUN)


def _replaced(settings: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    return {name: new if name in FLAGS and value == old else value for name, value in settings.items()}
