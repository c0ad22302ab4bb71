"""Checkpoints in the authors' layout: written whole or not at all, checked when read; two states a run are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from common.errors import UsageError
from common.paths import user_path
from common.pytorch.torch_files import not_finite, read_tensors, whole_number, write_tensors
from common.records.saved_state import MARK, Owner, StateFiles, newest_state

LARGEST = 2**63 - 1
FILES = StateFiles("state_", ".pth.tar")
POSITION = ("epoch", "batch", "step", "logged")  # of the next batch, and the last step that metrics.jsonl holds
PREFIX = "module."  # DistributedDataParallel's, in every file of the authors


def fingerprint(given: str) -> str:
    """SHA-256 of a checkpoint's file, in hexadecimal: which weights a number is of."""
    with open(user_path(given), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_given(flag: str, given: str, *needed: str) -> dict[str, Any]:
    """The checkpoint that a flag names (`--resume`; empty for an argument without a name).

    Raises: UsageError where it is missing, damaged, or lacks a needed part.
    """
    path, named = user_path(given), f"{flag}={given}" if flag else given
    if not path.is_file():
        raise UsageError(f"{named}: there is no such file; name a checkpoint_….pth.tar that training wrote")
    try:
        content = read_tensors(path)
    except ValueError as error:
        raise UsageError(f"{flag} {error}; name another checkpoint".strip()) from error
    missing = [name for name in needed if name not in content]
    if missing:
        raise UsageError(f"{named} holds no {', '.join(missing)}; it is not a checkpoint of this program")
    for name, (holds, kind) in PARTS.items():
        if name in content and not holds(content[name]):
            raise UsageError(f"{named}: its {name} is not {kind}; name another checkpoint")
    if lost := not_finite(content.get("state_dict", {})):
        raise UsageError(f"{named}: {lost}; name another checkpoint")
    return content


def _is_weights(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(weight, Tensor) for name, weight in value.items()
    )


# What a checkpoint that was given has to be made of, as far as it has these parts.
PARTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "state_dict": (_is_weights, "tensors by their names"),
    "optimizer": (lambda value: isinstance(value, Mapping), "the state of an optimiser"),
    "epoch": (lambda value: isinstance(value, int) and value >= 0, "a number of epochs"),
    "position": (lambda value: isinstance(value, Mapping), "a place in an epoch"),
    "classes": (lambda value: isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value),
                "a list of names"),
}  # fmt: skip


def save_state(folder: Path, step: int, content: Mapping[str, Any]) -> None:
    """Writes the state after `step`, then removes what is older than the last two."""
    write_tensors(FILES.path(folder, step), content)
    FILES.remove_outdated(folder, step)


def newest(folder: Path, owner: Owner | None = None) -> tuple[Path, dict[str, Any]] | None:
    """The newest state that can be read, with its file; None where there is none. See `newest_state`."""
    return newest_state(FILES.files(folder), read_tensors, lambda content: content.get(MARK), owner)


def position_in(content: Mapping[str, Any], name: str, epochs: int, batches: int) -> dict[str, int]:
    """Where a run resumes from a checkpoint: its values of POSITION; where it has none, at its epoch of `batches`.

    Raises: UsageError, naming `name`, where nothing of `epochs` is left to train and no metrics are there either;
    KeyError, TypeError or ValueError for a damaged position.
    """
    if "position" in content:
        position = {key: whole_number(content["position"][key], 0, LARGEST, key) for key in POSITION}
        whole_number(position["batch"], 0, batches, "batch")
    else:
        epoch = whole_number(content["epoch"], 0, LARGEST, "epoch")
        position = dict(zip(POSITION, (epoch, 0, epoch * batches, 0), strict=True))
    if position["epoch"] > epochs or (position["epoch"] == epochs and not content.get("last_values")):
        raise UsageError(
            f"{name} is of epoch {position['epoch']}, so that --epochs={epochs} leaves nothing to train: give "
            "a larger --epochs, or another checkpoint"
        )
    return position


def prefixed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of the authors' files."""
    return {PREFIX + name: value for name, value in weights.items()}


def unprefixed(weights: Mapping[str, Tensor], below: str = "") -> dict[str, Tensor]:
    """Weights whose name begins with `below`, without it and without the authors' prefix."""
    plain = {name.removeprefix(PREFIX): value for name, value in weights.items()}
    return {name.removeprefix(below): value for name, value in plain.items() if name.startswith(below)}
