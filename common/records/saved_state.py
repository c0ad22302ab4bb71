"""Whose a saved state is: a checkpoint says which run wrote it and after which step, and no other run resumes from it.

Standard library only.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from common.errors import UsageError
from common.records.config_text import config_hash, run_id

MARK = "run"  # where the content of a checkpoint keeps its mark
KEPT = 2
Content = TypeVar("Content")


@dataclass(frozen=True)
class Owner:
    """A run as its checkpoints name it. data: fingerprint of what it learns from; empty where that may be anything."""

    run_id: str
    config_hash: str
    data: str = ""

    @classmethod
    def of(cls, sub_project: str, config: Mapping[str, Any], seed: int, data: str = "") -> Owner:
        """The run whose record holds this configuration."""
        digest = config_hash(config)
        return cls(run_id(sub_project, digest, seed), digest, data)

    def mark(self, step: int) -> dict[str, str | int]:
        """What the checkpoint after `step` says of itself; plain values, the same for the same run and step."""
        return {"run_id": self.run_id, "config_hash": self.config_hash, "data": self.data, "step": int(step)}

    def check(self, path: Path, mark: Any, step: int) -> None:
        """Whether the checkpoint `path`, which by its name is of `step`, is this run's. One without a mark passes.

        Raises: UsageError for another run's, one of other data, one that was renamed; ValueError for a damaged mark.
        """
        if mark is None:
            logging.warning(
                "%s does not say which run it belongs to, as those of earlier versions: it is taken for this run's",
                path,
            )
            return
        if not isinstance(mark, Mapping) or mark.keys() != self.mark(step).keys():
            raise ValueError(f"{path} cannot be read: what it says of its run is damaged")
        if mark["config_hash"] != self.config_hash:
            raise UsageError(
                f"{path} belongs to another run, {mark['run_id']}, and not to this one, {self.run_id}: move that file "
                "away, or name the folder of the run that is meant"
            )
        if self.data and mark["data"] != self.data:
            raise UsageError(
                f"{path} belongs to a run of {mark['run_id']} on other data (fingerprint {str(mark['data'])[:12]}, the "
                f"data here have {self.data[:12]}): bring the old data back, or name another folder"
            )
        if mark["step"] != step:
            raise UsageError(
                f"{path} is the checkpoint of step {mark['step']}, its name says {step}: give it its own name again, "
                "or move it away"
            )


@dataclass(frozen=True)
class StateFiles:
    """What the checkpoints in a run folder are called: `before`, the step in eight digits, `after`."""

    before: str
    after: str

    def path(self, folder: Path, step: int) -> Path:
        """The file of a step."""
        return folder / f"{self.before}{step:08d}{self.after}"

    def step_of(self, path: Path) -> int | None:
        """The step in a checkpoint's name; None for another file."""
        match = re.fullmatch(f"{re.escape(self.before)}([0-9]{{8}}){re.escape(self.after)}", path.name)
        return int(match[1]) if match else None

    def files(self, folder: Path) -> dict[int, Path]:
        """The checkpoints in a folder, by step."""
        if not folder.is_dir():
            return {}
        return {step: path for path in folder.iterdir() if (step := self.step_of(path)) is not None}

    def steps(self, folder: Path) -> list[int]:
        """Steps of the checkpoints in a folder, rising."""
        return sorted(self.files(folder))

    def remove_outdated(self, folder: Path, step: int) -> None:
        """Once the checkpoint of `step` is written: removes those before it but the last KEPT, itself counted."""
        for old in outdated(self.files(folder), step, KEPT):
            old.unlink()


def newest_state(
    files: Mapping[int, Path],
    read: Callable[[Path], Content],
    mark_of: Callable[[Content], Any],
    owner: Owner | None = None,
) -> tuple[Path, Content] | None:
    """The newest checkpoint that can be read, and its file; None where there is none.

    files: checkpoints by the steps in their names. read: raises ValueError, naming the file, for a damaged one, which
    is passed over with a warning for the one before it. owner: whose it has to be; None: anyone's, to look at it.

    Raises: UsageError where it is not the owner's, and where all are damaged.
    """
    for step in sorted(files, reverse=True):
        try:
            content = read(files[step])
            if owner:
                owner.check(files[step], mark_of(content), step)
        except ValueError as error:
            logging.warning("%s; going back to the one before", error)
            continue
        return files[step], content
    if files:
        folder = next(iter(files.values())).parent
        raise UsageError(f"no checkpoint in {folder} can be read; move the folder away to train from the start")
    return None


def outdated(files: Mapping[int, Path], step: int, kept: int) -> list[Path]:
    """Checkpoints to remove once that of `step` is written: all before it but the last `kept`, itself counted.

    Later ones stay: they are no older than what was just written, whoever put them there.
    """
    return [files[old] for old in sorted(number for number in files if number <= step)[:-kept]]
