"""Checkpoints: one file each, written whole or not at all, checked when read; the last two are kept."""

from __future__ import annotations

import io
import json
import logging
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ieg.errors import UsageError
from reproduce.record import atomic_write

KEPT = 2
PATTERN = re.compile(r"checkpoint_(\d{8})\.npz")
META = "meta.json"


@dataclass(frozen=True)
class Checkpoint:
    """arrays {name: array} of the state; meta: JSON-able facts (tally, best accuracies); after `step` updates."""

    step: int
    arrays: Mapping[str, np.ndarray]
    meta: Mapping


def checkpoint_path(folder: Path, step: int) -> Path:
    """The file of a step."""
    return folder / f"checkpoint_{step:08d}.npz"


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write, then remove what is older than the last KEPT. Raises: OSError, leaving the earlier ones as they are."""
    buffer = io.BytesIO()
    np.savez(buffer, **checkpoint.arrays, **{META: np.frombuffer(json.dumps(dict(checkpoint.meta)).encode(), np.uint8)})
    atomic_write(checkpoint_path(folder, checkpoint.step), buffer.getvalue())
    for step in steps(folder)[:-KEPT]:
        checkpoint_path(folder, step).unlink()


def steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, rising."""
    if not folder.is_dir():
        return []
    return sorted(int(match[1]) for path in folder.iterdir() if (match := PATTERN.fullmatch(path.name)))


def load(folder: Path, step: int) -> Checkpoint:
    """Raises: OSError, ValueError, KeyError or zipfile.BadZipFile where the file is not whole: members have CRCs."""
    with np.load(checkpoint_path(folder, step), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return Checkpoint(step, arrays, json.loads(arrays.pop(META).tobytes()))


def newest(folder: Path, restore_step: int = 0) -> Checkpoint | None:
    """The newest checkpoint that can be read (or the one of `restore_step`); None where there is none.

    A damaged one is passed over with a warning, for the one before it. Raises: UsageError where all are damaged.
    """
    found = steps(folder)
    if restore_step and restore_step not in found:
        raise UsageError(f"--restore_step={restore_step}: {folder} has checkpoints of steps {found or 'none'}")
    for step in [restore_step] if restore_step else reversed(found):
        try:
            return load(folder, step)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logging.warning("%s is damaged (%s); going back to the one before", checkpoint_path(folder, step), error)
    if found:
        raise UsageError(f"no checkpoint in {folder} can be read; move the folder away to train from the start")
    return None
