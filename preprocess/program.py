"""What the programs of preprocess have in common: flags in, exit code out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import common.flags
from common import program
from common.errors import UsageError
from common.machine import cores
from common.storage.text_files import read_text

Flags = TypeVar("Flags")


def parse(flags: type[Flags], argv: list[str] | None, name: str, description: str) -> Flags:
    """The flags of a command line; underscores or hyphens. Exits: 2 for unknown ones."""
    return common.flags.parse(
        flags, f"python -m preprocess.{name}", description, sys.argv[1:] if argv is None else argv
    )


def guarded(work: Callable[[], None], places: str) -> int:
    """Runs a program. places: its flag for the tree that it writes.

    Returns: 0 done, 1 work that failed, 2 a mistake in flags or trees, 130 stopped.
    """
    return program.guarded(work, "stopped; run the same command to resume", places=places)


def refuse_absent(**paths: str) -> None:
    """Raises: UsageError where a path that has no default was not given."""
    for name, value in paths.items():
        if not value:
            raise UsageError(f"--{name} is not given; say where that folder is, e.g. --{name} /data/{name}")


def refuse_seed(seed: int) -> None:
    """Raises: UsageError for a negative one, which numpy's generators do not take."""
    if seed < 0:
        raise UsageError(f"--seed {seed}: a seed is 0 or more")


def settings_in(path: Path) -> dict[str, Any]:
    """What a tree says that it was made with. Raises: UsageError naming the file where it is damaged."""
    try:
        settings = json.loads(read_text(path))
        if not isinstance(settings, dict):
            raise ValueError("it holds no settings by their names")
    except (OSError, ValueError, RecursionError, UsageError) as error:
        raise UsageError(
            f"{path} is damaged ({error}): bring back a copy, or make the tree anew in another folder"
        ) from error
    return settings


def jobs_of(asked: int) -> int:
    """How many processes: `asked`, or with 0 as many as there are cores for this program. Raises: UsageError."""
    if asked < 0:
        raise UsageError(f"--jobs {asked}: a number of processes is 1 or more, or 0 for one a core")
    return asked or cores()
