"""What programs.yaml says of each program: which flags name folders, and how a finished run is scored again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from reproduce.cells.files import PROGRAMS, read_yaml

FOLDERS = ("DATA_DIR", "RUNS_DIR")


@dataclass(frozen=True)
class Program:
    """One program. `path_flags`: for each flag that names a folder or file, DATA_DIR or RUNS_DIR, which contains it.

    One of three says how a finished run is scored again: `prints`, words after its command with which it prints the
    scores as a line of JSON; `repeats`, words with which it writes another record; `never`, why it cannot be.
    `renamed`: values of flags that earlier versions called otherwise, old name → new name.
    """

    environment: str
    path_flags: Mapping[str, str] = field(default_factory=dict)
    prints: Sequence[str] = ()
    repeats: Sequence[str] = ()
    never: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)


def program_of(command: Sequence[str]) -> str:
    """`ieg.main` of `python -m ieg.main …`, and of `python ieg/main.py …`."""
    name = command[command.index("-m") + 1] if "-m" in command else command[1]
    return ".".join(Path(name.removesuffix(".py")).parts[-2:]) if name.endswith(".py") else name


def completed(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A program or stage of a cells file, with what programs.yaml says of its module where the entry does not."""
    return {**_entries().get(program_of(entry["command"]), {}), **entry}


def path_flags(entry: Mapping[str, Any]) -> dict[str, str]:
    """Flag → DATA_DIR or RUNS_DIR. Raises: ValueError for another folder than these."""
    given = entry.get("path_flags", {})
    unknown = set(given) - set(FOLDERS)
    if unknown:
        raise ValueError(f"path_flags of {sorted(unknown)}: the keys are {' and '.join(FOLDERS)}")
    return {flag: folder for folder, flags in given.items() for flag in flags}


@cache
def known_programs() -> dict[str, Program]:
    """The programs of programs.yaml, by module."""
    return {
        name: Program(entry["environment"], path_flags(entry), **entry["evaluate"], renamed=entry.get("renamed", {}))
        for name, entry in _entries().items()
    }


@cache
def _entries() -> Mapping[str, Mapping[str, Any]]:
    return read_yaml(PROGRAMS)
