"""What the cells file says of each program: which flags name folders, and how a finished run is scored again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from common.errors import UsageError

CELLS = Path(__file__).resolve().parent / "cells.yaml"
FOLDERS = ("DATA_DIR", "RUNS_DIR")
WAYS = ("prints", "repeats", "never")


@dataclass(frozen=True)
class Program:
    """One program. `path_flags`: of each flag that names a folder or file, DATA_DIR or RUNS_DIR, where that lies.

    One of three says how a finished run is scored again: `prints`, words after its command with which it prints the
    scores as a line of JSON; `repeats`, words with which it writes another record; `never`, why it cannot be.
    """

    environment: str
    path_flags: Mapping[str, str] = field(default_factory=dict)
    prints: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()
    never: str = ""


def program_of(command: Sequence[str]) -> str:
    """`ieg.main` of `python -m ieg.main …`, and of `python ieg/main.py …`."""
    name = command[command.index("-m") + 1] if "-m" in command else command[1]
    return ".".join(Path(name.removesuffix(".py")).parts[-2:]) if name.endswith(".py") else name


def path_flags(entry: Mapping[str, Any]) -> dict[str, str]:
    """Flag → DATA_DIR or RUNS_DIR. An entry that says nothing has those of its program in cells.yaml, if it is there.

    Raises: ValueError for another folder than these.
    """
    if "path_flags" not in entry:
        known = known_programs().get(program_of(entry["command"]))
        return dict(known.path_flags) if known else {}
    unknown = set(entry["path_flags"]) - set(FOLDERS)
    if unknown:
        raise ValueError(f"path_flags of {sorted(unknown)}: they lie in {' or '.join(FOLDERS)}")
    return {flag: folder for folder, flags in entry["path_flags"].items() for flag in flags}


@cache
def known_programs() -> dict[str, Program]:
    """The programs of cells.yaml and their stages, by module. Raises: UsageError where two entries contradict."""
    found: dict[str, Program] = {}
    for name, entry in read_yaml(CELLS)["programs"].items():
        for stage in entry["stages"].values() if "stages" in entry else (entry,):
            (way,) = stage["evaluate"]
            if way not in WAYS:
                raise UsageError(f"{CELLS.name}: program {name}: evaluate: {way} is none of {', '.join(WAYS)}")
            words = stage["evaluate"][way]
            own: dict[str, Any] = {way: words if way == "never" else tuple(words)}
            program = Program(entry["environment"], path_flags(stage), **own)
            if found.setdefault(program_of(stage["command"]), program) != program:
                raise UsageError(f"{CELLS.name}: program {name}: another entry says otherwise of the same module")
    return found


def read_yaml(path: Path) -> Any:
    """The content of a file. Raises: UsageError."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {error}") from error
