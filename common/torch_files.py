"""Files of torch, read so that damage and what does not fit are one kind of error. For the programs that have torch."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

# What torch raises over content that is well-formed and yet no state: a list for a mapping, a key that is missing, …
MISFITS = (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError)
TORCHS_ADVICE = "WeightsUnpickler error: "  # what stands before it in torch's message is advice to trust the file
PLAIN = (bool, int, float, type(None))


def read_tensors(path: Path) -> dict[str, Any]:
    """What a file holds, tensors on the CPU; today's format or the one before torch 1.6.

    Raises: ValueError naming the file where it is not whole, no mapping, or holds more than tensors and plain values.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                # torch itself does not compare the checksums.
                damaged = archive.testzip()
            if damaged:
                raise ValueError(f"the checksum of {damaged} does not agree")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile, zlib, pickle and torch raise nearly everything, by where the damage is
        raise ValueError(f"{path} cannot be read: {words_of(error)}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} cannot be read: it holds a {type(content).__name__}, no checkpoint")
    return content


def load_optimiser(optimiser: torch.optim.SGD, state: Any, moved: Iterable[nn.Parameter]) -> None:
    """Puts the state of SGD back. moved: the parameters that steps were taken on, each of which has its momentum.

    Raises: one of MISFITS where the state is that of other parameters, or none.
    """
    optimiser.load_state_dict(state)
    for group in optimiser.param_groups:
        odd = [name for name, value in group.items() if name != "params" and not isinstance(value, PLAIN)]
        if odd:
            raise TypeError(f"the optimiser's {odd[0]} is {group[odd[0]]!r:.40}, no number")
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
    return said if len(said) <= 200 else f"{said[:200]} …"
