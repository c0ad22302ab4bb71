"""Checkpoints: one file each, written whole or not at all, checked when read; the last two are kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.pytorch.torch_files import MISFITS, read_tensors, words_of, write_tensors
from common.records.saved_state import MARK, Owner, StateFiles, newest_state

FILES = StateFiles("checkpoint_", ".pt")


def save(folder: Path, step: int, content: dict[str, Any]) -> None:
    """Write, then remove what is older than the last two. Raises: OSError, leaving the earlier ones as they are."""
    write_tensors(FILES.path(folder, step), content)
    FILES.remove_outdated(folder, step)


def newest(folder: Path, owner: Owner | None = None) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that can be read, with its file; None where there is none. See `newest_state`."""
    return newest_state(FILES.files(folder), read_tensors, lambda content: content.get(MARK), owner)


@contextlib.contextmanager
def fitting(path: Path) -> Iterator[None]:
    """What is done with the content of `path` inside; that it does not fit the run becomes a UsageError."""
    try:
        yield
    except MISFITS as error:
        raise UsageError(
            f"{path} does not hold the state of this run ({words_of(error)}): move it away, and the one before it is "
            "used"
        ) from error
