"""Checkpoints: one file each, written whole or not at all, checked when read; the last two are kept."""

from __future__ import annotations

import io
import logging
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from re_sln.errors import UsageError
from reproduce.record import atomic_write

KEPT = 2
PATTERN = re.compile(r"checkpoint_(\d{8})\.pt")


def save(folder: Path, step: int, content: dict[str, Any]) -> None:
    """Write, then remove what is older than the last KEPT. Raises: OSError, leaving the earlier ones as they are."""
    write_weights(folder / f"checkpoint_{step:08d}.pt", content)
    for old in steps(folder)[:-KEPT]:
        (folder / f"checkpoint_{old:08d}.pt").unlink()


def write_weights(path: Path, content: dict[str, Any]) -> None:
    """One file of tensors, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    atomic_write(path, buffer.getvalue())


def steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, rising."""
    if not folder.is_dir():
        return []
    return sorted(int(match[1]) for path in folder.iterdir() if (match := PATTERN.fullmatch(path.name)))


def read_weights(path: Path) -> dict[str, Any]:
    """The tensors of a file, on the CPU. Raises: ValueError naming the file where it is not whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            # torch itself does not compare the checksums.
            damaged = archive.testzip()
        if damaged:
            raise ValueError(f"the checksum of {damaged} does not agree")
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def newest(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that can be read; None where there is none.

    A damaged one is passed over with a warning, for the one before it. Raises: UsageError where all are damaged.
    """
    found = steps(folder)
    for step in reversed(found):
        try:
            return read_weights(folder / f"checkpoint_{step:08d}.pt")
        except ValueError as error:
            logging.warning("%s; going back to the one before", error)
    if found:
        raise UsageError(f"no checkpoint in {folder} can be read; move the folder away to train from the start")
    return None
