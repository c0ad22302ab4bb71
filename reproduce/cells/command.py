"""The command of one stage of a run, in the form the authors print theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def build_command(
    program: Sequence[str], arguments: Sequence[str], flags: Mapping[str, Any], folders: Mapping[str, Path]
) -> list[str]:
    """`program arguments --flag=value --switch --list a b`; texts may say `{data_dir}` or another name of `folders`."""

    def words(value: Any) -> str:
        return value.format(**folders) if isinstance(value, str) else str(value)

    command = [*program, *map(words, arguments)]
    for name, value in flags.items():
        if isinstance(value, list):
            command += [f"--{name}", *map(words, value)]
        else:
            command.append(f"--{name}" if value is True else f"--{name}={words(value)}")
    return command
