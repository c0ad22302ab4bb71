"""Where a run lies, and how one that was interrupted is found again."""

from __future__ import annotations

import datetime
import difflib
import typing
from pathlib import Path
from typing import Any

from common import paths
from common.errors import RecordError, UsageError
from common.paths import user_path
from common.records.record_files import read_config
from re_sln.former_names import from_recorded
from re_sln.settings.flags import Flags, Program


def runs_dir() -> Path:
    """The folder of all runs of re_sln."""
    return paths.runs_dir() / "re_sln"


def new_folder() -> Path:
    """`exp_<date>_<time>-<microseconds>` in the folder of runs."""
    return runs_dir() / datetime.datetime.now().strftime("exp_%Y-%m-%d_%H-%M-%S-%f")


def find_run(run: str) -> Path:
    """The folder of `exp_…` or of a path. Raises: UsageError, naming the runs with the nearest names."""
    for folder in (runs_dir() / run, user_path(run)):
        if (folder / "config.yml").is_file():
            return folder.absolute()
    there = sorted(path.parent.name for path in runs_dir().glob("*/config.yml"))
    near = difflib.get_close_matches(run, there, n=3, cutoff=0.3)
    raise UsageError(
        f"there is no run {run} in {runs_dir()}" + (f"; the nearest: {', '.join(near)}" if near else ", nor any other")
    )


def settings_of(folder: Path, program: Program) -> dict[str, Any]:
    """The flags that a run was started with. Raises: UsageError where another program made it."""
    try:
        config = read_config(folder)
    except (OSError, RecordError, ValueError) as error:
        raise UsageError(f"{folder / 'config.yml'} cannot be read: {error}") from error
    if config.get("program") != program.name:
        raise UsageError(f"{folder} is a run of {config.get('program')}.py, not of {program.name}.py")
    kinds = typing.get_type_hints(Flags)
    settings = {name: value for name, value in from_recorded(config).items() if name in kinds}
    for name, value in settings.items():
        if not isinstance(value, kinds[name]) and not (kinds[name] in (float, float | None) and type(value) is int):
            raise UsageError(f"{folder / 'config.yml'} is damaged: {name} = {value!r:.40}; bring back a copy of it")
    return settings
