"""Files of torch, read so that damage and what does not fit are one kind of error. For the programs that have torch."""

from __future__ import annotations

import pickle
import re
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from common.storage.files import atomic_path

# What torch raises over content that is well-formed and yet no state: a list for a mapping, a key that is missing, …
MISFITS = (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError)
TORCHS_ADVICE = "WeightsUnpickler error: "  # what stands before it in torch's message is advice to trust the file
PLAIN = (bool, int, float, type(None))


def read_tensors(path: Path) -> dict[str, Any]:
    """What a file holds, tensors on the CPU; today's format or the one before torch 1.6.

    Numbers of numpy become Python's. Raises: ValueError naming the file where it is not whole, no mapping, or holds
    more than tensors and plain values.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                # torch itself does not compare the checksums.
                damaged = archive.testzip()
            if damaged:
                raise ValueError(f"the checksum of {damaged} does not agree")
        with torch.serialization.safe_globals(list(NUMPY_SCALARS)):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(_object_named(path, str(error)) or f"{path} cannot be read: {words_of(error)}") from error
    except Exception as error:  # zipfile, zlib, pickle and torch raise nearly everything, by where the damage is
        raise ValueError(f"{path} cannot be read: {words_of(error)}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} cannot be read: it holds a {type(content).__name__}, no checkpoint")
    return content


def write_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """One file, whole or not at all; the same content gives the same bytes. Raises: OSError."""
    handled = sys.exception()
    # Given a name, torch would write that of the temporary file, with the process id, into every entry.
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(dict(content), file)
        except RuntimeError as error:
            # Over what stopped a write (a full disk, Ctrl-C, a reader that is gone), torch complains of positions.
            if error.__context__ in (None, handled):
                raise
            raise error.__context__ from None


class _Dtype:
    """What numpy pickles of the type of a number; nothing of numpy's own is called with what a file says."""

    def __init__(self, text: str, *_: Any) -> None:
        if not re.fullmatch("[biuf][1248]|f16|c8|c16", text):
            raise ValueError(f"{text[:40]!r} is no type of numbers")
        self.text, self.order = text, "="

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1] if state[1] in ("<", ">") else "="


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return np.frombuffer(data, np.dtype(dtype.order + dtype.text), 1).item()


def _encoded(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"a number in {encoding[:40]!r}")
    return text.encode("latin1")


# By the names that pickles of numpy 1 and 2 give them.
NUMPY_SCALARS: tuple[tuple[Any, str], ...] = (
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    (_Dtype, "numpy.dtype"),
    (_encoded, "_codecs.encode"),
)


def _object_named(path: Path, said: str) -> str:
    """A sentence about the object of some program that a file holds beside its tensors; empty for other faults."""
    found = re.search(r"GLOBAL (\S+) was not an allowed global", said)
    if not found:
        return ""
    return (
        f"{path} cannot be read: it holds an object, {found[1][:80]}, beside its tensors, and reading objects may run "
        "code; if you trust the file, save a plain copy where it was made: c = torch.load(FILE, weights_only=False); "
        "torch.save({'state_dict': c['state_dict']}, COPY)"
    )


def load_weights(module: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """As `load_state_dict`, but what does not fit is said with the first names and their count.

    Raises: ValueError; another of MISFITS for what are no tensors by their names.
    """
    own = module.state_dict()
    faults = {
        # That of old files, which torch makes up.
        "it lacks": [name for name in own if name not in weights and not name.endswith("num_batches_tracked")],
        "it has besides": [name for name in weights if name not in own],
        "of another shape are": [
            f"{name} {tuple(value.shape)} instead of {tuple(own[name].shape)}"
            for name, value in weights.items()
            if name in own and value.shape != own[name].shape
        ],
    }
    if any(faults.values()):
        raise ValueError("; ".join(f"{what} {first_of(names)}" for what, names in faults.items() if names))
    module.load_state_dict(weights)


def first_of(names: Sequence[str]) -> str:
    """The first three, and how many there are."""
    return ", ".join(names[:3]) + (f", … ({len(names)} in all)" if len(names) > 3 else "")


def not_finite(weights: Mapping[str, torch.Tensor]) -> str:
    """Which tensors hold numbers that are not finite, in words; empty where none does."""
    names = [name for name, value in weights.items() if not torch.isfinite(value).all()]
    if not names:
        return ""
    return (
        f"{len(names)} of its {len(weights)} tensors are not finite, such as {first_of(names)}; its training had failed"
    )


def load_optimiser(optimiser: torch.optim.SGD, state: Any, moved: Iterable[nn.Parameter]) -> None:
    """Puts the state of SGD back; momentum and weight decay stay as they are.

    moved: the parameters that steps were taken on, each of which has its momentum.

    Raises: one of MISFITS where the state is that of other parameters, or none.
    """
    own = [{name: group[name] for name in ("momentum", "weight_decay")} for group in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for group in optimiser.param_groups:
        odd = [name for name, value in group.items() if name != "params" and not isinstance(value, PLAIN)]
        if odd:
            raise TypeError(f"the optimiser's {odd[0]} is {group[odd[0]]!r:.40}, no number")
    for group, settings in zip(optimiser.param_groups, own, strict=True):
        group.update(settings)
    with_momentum = {
        parameter for group in optimiser.param_groups if group["momentum"] for parameter in group["params"]
    }
    for parameter in moved:
        if parameter in with_momentum:
            buffer = optimiser.state[parameter]["momentum_buffer"]
            if buffer.shape != parameter.shape:
                raise ValueError(f"a momentum is {tuple(buffer.shape)} instead of {tuple(parameter.shape)}")
            # In the parameter's own memory layout, which the saving run may have had another of: fused SGD goes through
            # the memory of both side by side, and would add each momentum to another weight.
            optimiser.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(buffer).detach_()


def copy_into(target: torch.Tensor, value: torch.Tensor, name: str) -> None:
    """Copies without the broadcasting of `copy_`. Raises: ValueError for another shape."""
    if value.shape != target.shape:
        raise ValueError(f"{name} is {tuple(value.shape)} instead of {tuple(target.shape)}")
    target.copy_(value)


def whole_number(value: Any, least: int, most: int, name: str) -> int:
    """The value, where it is an integer from `least` to `most`. Raises: ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} is {value!r:.40}, no number from {least} to {most}")
    return value


def words_of(error: Exception) -> str:
    """What is wrong, on one line of bounded length."""
    said = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
    said = " ".join(said.rpartition(TORCHS_ADVICE)[2].split())
    return said if len(said) <= 400 else f"{said[:400]} …"
