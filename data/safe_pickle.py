"""A pickle reader that can build what the CIFAR batches hold and nothing else.

A pickle may name any importable callable and have it called, so an archive from the net must never meet plain
`pickle.load`. Here a name is looked up in a short table; a name outside it ends the reading. Nor does the table lead to
numpy itself: a pickle can set the state of a `numpy.dtype`, which all of the process shares, to nonsense. It leads to
stand-ins that receive the state, check it, and make an array of bytes from it.
"""

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError
from common.foreign_text import one_line

_WHOLE_NUMBERS = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
AGAIN = "fetch the data set again, or write it as a dictionary of a uint8 array of images and lists of plain numbers"


class _Latin1Bytes:
    """How Python 3 writes `bytes` in a protocol-2 pickle; other codecs have no business here."""

    def __new__(cls, text: str, encoding: str) -> Any:
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"codec {encoding!r} is not allowed, only 'latin1'")
        return text.encode("latin1")

    # A class with this method cannot be changed by the pickle that names it; those below have it, too.
    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("bytes have no state")


class _Dtype:
    """Stands in for numpy.dtype, of whole numbers."""

    order = "|"

    def __init__(self, code: str | bytes, *_: object) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]

    def read(self, content: object) -> np.ndarray:
        """The numbers in `content`. Raises: pickle.UnpicklingError for anything but whole numbers."""
        if self.code not in _WHOLE_NUMBERS or self.order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"an array of {self.code}, only {', '.join(_WHOLE_NUMBERS)} are allowed")
        if not isinstance(content, bytes | bytearray):
            raise pickle.UnpicklingError(f"an array's content is a {type(content).__name__}")
        return np.frombuffer(bytes(content), np.dtype(self.code if self.order in "|=" else self.order + self.code))


def _shaped(dtype: object, content: object, shape: tuple[int, ...], order: str) -> np.ndarray:
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError(f"an array of {dtype}")
    numbers = dtype.read(content)
    if not isinstance(shape, tuple) or not all(type(side) is int for side in shape):
        raise pickle.UnpicklingError("an array whose shape is no tuple of numbers")
    if math.prod(shape) != len(numbers) or min(shape) < 0:
        raise pickle.UnpicklingError(f"an array of shape {shape} does not go with its content")
    return numbers.reshape(shape, order="F" if order == "F" else "C")


class _Array:
    """Stands in for numpy.ndarray and for the function that makes an empty one."""

    values: np.ndarray | None = None

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, is_fortran, content = state
        self.values = _shaped(dtype, content, shape, "F" if is_fortran else "C")


class _FromBuffer(_Array):
    """Stands in for the function that makes an array in protocol 5."""

    def __init__(self, content: object, dtype: object, shape: tuple[int, ...], order: str, axes: None = None) -> None:
        if axes is not None:
            raise pickle.UnpicklingError("an array with its axes in another order")
        self.values = _shaped(dtype, content, shape, order)


class _Scalar:
    """Stands in for the function that makes a number of numpy's; it is a plain one here."""

    def __new__(cls, dtype: object, content: object) -> Any:
        return int(_shaped(dtype, content, (1,), "C")[0])

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a number has no state")


_ALLOWED: dict[tuple[str, str], type] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _FromBuffer,
    ("numpy._core.numeric", "_frombuffer"): _FromBuffer,
    ("numpy.core.multiarray", "scalar"): _Scalar,
    ("numpy._core.multiarray", "scalar"): _Scalar,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Latin1Bytes,
}


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a data file") from None


# A damaged pickle fails in whichever opcode the damage hit: these are what opcodes and the stand-ins raise.
_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    MemoryError,
    OverflowError,
)


def load_batch(path: Path) -> dict[bytes, Any]:
    """The dictionary in a CIFAR batch file, keys as bytes, as Python 2 wrote them.

    Arrays among its values are of whole numbers and read-only. Raises DataError, naming the file, if it cannot be read,
    is truncated, holds something else than a dictionary, or names anything that is not in the table above.
    """
    try:
        with open(path, "rb") as stream:
            content = _RestrictedUnpickler(stream, encoding="bytes").load()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): fetch the data set again.") from error
    except _DAMAGE as error:
        raise DataError(f"{path} is not a readable CIFAR batch ({one_line(error)}): {AGAIN}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}, a CIFAR batch is a dictionary: fetch it again.")
    return {
        key.encode() if isinstance(key, str) else key: value.values if isinstance(value, _Array) else value
        for key, value in content.items()
    }
