"""Checkpoints: one file each, written whole or not at all, checked when read; the last two are kept."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UsageError
from common.records.saved_state import MARK, Owner, StateFiles, newest_state
from common.storage.files import atomic_write

FILES = StateFiles("checkpoint_", ".npz")
META = "meta.json"
READ_LONG_HEADER = np.lib.format.read_array_header_2_0


@dataclass(frozen=True)
class Checkpoint:
    """arrays {name: array} of the state; meta: JSON-able facts (tally, best accuracies); after `step` updates."""

    step: int
    arrays: Mapping[str, np.ndarray]
    meta: Mapping[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write, then remove what is older than the last two. Raises: OSError, leaving the earlier ones as they are."""
    buffer = io.BytesIO()
    np.savez(buffer, **checkpoint.arrays, **{META: np.frombuffer(json.dumps(dict(checkpoint.meta)).encode(), np.uint8)})
    atomic_write(FILES.path(folder, checkpoint.step), buffer.getvalue())
    FILES.remove_outdated(folder, checkpoint.step)


def read_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a file, or those called so. Raises: ValueError naming the file where it is not whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            # numpy leaves unread, and so unchecked, what an array's damaged header does not count in.
            if damaged := archive.testzip():
                raise ValueError(f"the checksum of {damaged} does not agree")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in (file.files if names is None else names)}
    except Exception as error:  # zipfile and numpy raise nearly everything, by where the damage is
        raise ValueError(f"{path} is damaged ({str(error) or type(error).__name__})") from error


def read_headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and type of every array, of which none is read. Raises: ValueError naming the file."""
    headers = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as member:
                        version = np.lib.format.read_magic(member)
                        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else READ_LONG_HEADER
                        shape, _, dtype = header(member)
                    headers[name.removesuffix(".npy")] = (shape, dtype)
    except Exception as error:  # as above
        raise ValueError(f"{path} is damaged ({str(error) or type(error).__name__})") from error
    return headers


def load(path: Path) -> Checkpoint:
    """Raises: ValueError naming the file where it is not whole."""
    arrays = read_arrays(path)
    try:
        meta = json.loads(arrays.pop(META).tobytes())
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged (it holds no {META} that can be read)") from error
    if not isinstance(meta, dict):
        raise ValueError(f"{path} is damaged (its {META} is not a mapping)")
    return Checkpoint(FILES.step_of(path) or 0, arrays, meta)


def newest(folder: Path, restore_step: int = 0, owner: Owner | None = None) -> Checkpoint | None:
    """The newest checkpoint that can be read (or the one of `restore_step`); None where there is none.

    A damaged one is passed over with a warning, for the one before it. owner: whose it has to be; None: anyone's.
    Raises: UsageError where all are damaged, and for one of another run.
    """
    files = FILES.files(folder)
    if restore_step:
        if restore_step not in files:
            raise UsageError(
                f"--restore_step={restore_step}: {folder} has checkpoints of steps {sorted(files) or 'none'}; to "
                "resume a run that has gone on from there, leave the flag out"
            )
        files = {restore_step: files[restore_step]}
    there = newest_state(files, load, lambda checkpoint: checkpoint.meta.get(MARK), owner)
    return there[1] if there else None


@contextlib.contextmanager
def fitting(path: Path) -> Iterator[None]:
    """What is done with the content of `path` inside; that it does not fit the run becomes a UsageError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f"{path} does not hold the state of this run ({' '.join(said.split())[:200]}): move it away, and the one "
            "before it is used"
        ) from error
