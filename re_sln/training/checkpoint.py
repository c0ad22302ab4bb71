"""Checkpoints: one file each, written whole or not at all, checked when read; the last two are kept."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from common.errors import RecordError, UsageError
from common.files import atomic_write
from common.saved_state import MARK, Owner, newest_state, outdated
from common.torch_files import MISFITS, read_tensors, words_of

KEPT = 2
PATTERN = re.compile(r"checkpoint_([0-9]{8})\.pt")


def save(folder: Path, step: int, content: dict[str, Any]) -> None:
    """Write, then remove what is older than the last KEPT. Raises: OSError, leaving the earlier ones as they are."""
    write_weights(folder / f"checkpoint_{step:08d}.pt", content)
    for old in outdated(files(folder), step, KEPT):
        old.unlink()


def write_weights(path: Path, content: dict[str, Any]) -> None:
    """One file of tensors, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    atomic_write(path, buffer.getvalue())


def files(folder: Path) -> dict[int, Path]:
    """The checkpoints in a folder, by step."""
    if not folder.is_dir():
        return {}
    return {int(match[1]): path for path in folder.iterdir() if (match := PATTERN.fullmatch(path.name))}


def steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, rising."""
    return sorted(files(folder))


def read_weights(path: Path) -> dict[str, Any]:
    """The tensors of a file, on the CPU. Raises: ValueError naming the file where it is not whole."""
    return read_tensors(path)


def newest(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that can be read, whosever it is; None where there is none. Raises: UsageError."""
    found = newest_own(folder, None)
    return found[1] if found else None


def newest_own(folder: Path, owner: Owner | None) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that can be read, with its file; None where there is none.

    A damaged one is passed over with a warning, for the one before it. owner: whose it has to be; None: anyone's.
    Raises: UsageError where all are damaged, and for one of another run.
    """
    try:
        return newest_state(files(folder), read_tensors, lambda content: content.get(MARK), owner)
    except RecordError as error:
        raise UsageError(str(error)) from error


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
