"""Checkpoints in the authors' layout: written whole or not at all, checked when read; two states a run are kept."""

from __future__ import annotations

import hashlib
import logging
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moco_nonsem.errors import UsageError
from reproduce.record import atomic_path

KEPT = 2
PATTERN = re.compile(r"state_(\d{8})\.pth\.tar")
PREFIX = "module."  # DistributedDataParallel's, in every file of the authors


def epoch_path(folder: Path, epoch: int) -> Path:
    """The authors' name of the checkpoint of `epoch` (0, 1, …)."""
    return folder / f"checkpoint_{epoch:04d}.pth.tar"


def write(path: Path, content: Mapping[str, Any]) -> None:
    """One file, whole or not at all; the same content gives the same bytes, so that `fingerprint` tells the content."""
    # Given a name, torch would write that of the temporary file, with the process id, into every entry.
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save(dict(content), file)


def read(path: Path) -> dict[str, Any]:
    """What a file holds, tensors on the CPU; today's format or the one before torch 1.6.

    Raises: ValueError naming the file where it is not whole, or holds more than tensors and plain values.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                # torch itself does not compare the checksums.
                damaged = archive.testzip()
            if damaged:
                raise ValueError(f"the checksum of {damaged} does not agree")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} cannot be read: it holds no checkpoint")
    return content


def fingerprint(given: str) -> str:
    """SHA-256 of a checkpoint's file, in hexadecimal: which weights a number is of."""
    with open(Path(given).expanduser(), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_given(flag: str, given: str, *needed: str) -> dict[str, Any]:
    """The checkpoint that a flag names (`--resume`; empty for an argument without a name).

    Raises: UsageError where it is missing, damaged, or lacks a needed part.
    """
    path, named = Path(given).expanduser(), f"{flag}={given}" if flag else given
    if not path.is_file():
        raise UsageError(f"{named}: there is no such file; name a checkpoint_….pth.tar that training wrote")
    try:
        content = read(path)
    except ValueError as error:
        raise UsageError(f"{flag} {error}; name another checkpoint".strip()) from error
    missing = [name for name in needed if name not in content]
    if missing:
        raise UsageError(f"{named} holds no {', '.join(missing)}; it is no checkpoint of this program")
    return content


def save_state(folder: Path, step: int, content: Mapping[str, Any]) -> None:
    """Writes the state after `step`, then removes what is older than the last KEPT."""
    write(folder / f"state_{step:08d}.pth.tar", content)
    for old in states(folder)[:-KEPT]:
        (folder / f"state_{old:08d}.pth.tar").unlink()


def states(folder: Path) -> list[int]:
    """Steps of the states in a run folder, rising."""
    if not folder.is_dir():
        return []
    return sorted(int(match[1]) for path in folder.iterdir() if (match := PATTERN.fullmatch(path.name)))


def newest(folder: Path) -> dict[str, Any] | None:
    """The newest state that can be read; None where there is none.

    A damaged one is passed over with a warning, for the one before it. Raises: UsageError where all are damaged.
    """
    found = states(folder)
    for step in reversed(found):
        try:
            return read(folder / f"state_{step:08d}.pth.tar")
        except ValueError as error:
            logging.warning("%s; going back to the one before", error)
    if found:
        raise UsageError(f"no state in {folder} can be read; move the folder away to train from the start")
    return None


def prefixed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of the authors' files."""
    return {PREFIX + name: value for name, value in weights.items()}


def unprefixed(weights: Mapping[str, Tensor], below: str = "") -> dict[str, Tensor]:
    """Weights whose name begins with `below`, without it and without the authors' prefix."""
    plain = {name.removeprefix(PREFIX): value for name, value in weights.items()}
    return {name.removeprefix(below): value for name, value in plain.items() if name.startswith(below)}
