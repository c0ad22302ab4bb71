"""What eval_robustness.py is asked to score, checked before any image is read."""

from __future__ import annotations

from pathlib import Path

from common.errors import UsageError
from common.paths import user_path
from moco_nonsem.model.architectures import check_arch
from moco_nonsem.running.flag_checks import check_numbers
from moco_nonsem.running.flags import RobustnessFlags

COLUMNS = {"val": "ImageNet-100", "sketch": "Sketch", "stylized": "Stylized", "rendition": "Rendition"}


def check(flags: RobustnessFlags, _world_size: int = 1) -> RobustnessFlags:
    """The flags. Raises: UsageError."""
    check_arch(flags.arch)
    check_numbers(flags, {})
    if not given(flags):
        raise UsageError(
            "nothing to score: give --val, --imagenet-c, --sketch, --stylized, --rendition or --cue-conflict"
        )
    return flags


def given(flags: RobustnessFlags) -> dict[str, Path]:
    """The folders that are to be scored, by the name of their flag."""
    names = (*COLUMNS, "imagenet_c", "cue_conflict")
    return {name: user_path(getattr(flags, name)) for name in names if getattr(flags, name)}
