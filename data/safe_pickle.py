"""A pickle reader that can build what the CIFAR batches hold and nothing else.

A pickle may name any importable callable and have it called, so an archive from the net must never meet plain
`pickle.load`. Here a name is looked up in a table of four; a name outside the table ends the reading.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import DataError


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """How Python 3 writes `bytes` in a protocol-2 pickle; other codecs have no business here."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"codec {encoding!r} is not allowed, only 'latin1'")
    return text.encode("latin1")


# numpy moved this function between its major versions; an empty array names the one that this numpy has.
_RECONSTRUCT = np.empty(0).__reduce__()[0]

_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1_bytes,
}


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a data file") from None


def load_batch(path: Path) -> dict[bytes, Any]:
    """The dictionary in a CIFAR batch file, keys as bytes (Python 2 strings are kept as they are).

    Raises DataError, naming the file, if it cannot be read, is truncated, holds something else than a dictionary,
    or names anything but numpy arrays.
    """
    try:
        with open(path, "rb") as stream:
            content = _RestrictedUnpickler(stream, encoding="bytes").load()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): fetch the data set again.") from error
    # A damaged pickle can fail in whichever opcode the damage hit: these are the errors that opcodes and numpy raise.
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        MemoryError,
        OverflowError,
        AssertionError,
    ) as error:
        raise DataError(
            f"{path} is not a readable CIFAR batch ({error or type(error).__name__}): fetch the data set again."
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}, a CIFAR batch is a dictionary: fetch it again.")
    return content
