"""How the image kernels are compiled and where the machine code is kept between runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import caching


@cache
def _folder_stamp(folder: Path) -> str:
    """Hash of every Python source file in `folder`."""
    digest = hashlib.sha256()
    for source in sorted(folder.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


class _FolderStamp:
    """Makes cached code depend on the whole folder.

    Numba stamps a function with its own file only, so a changed operation would go unnoticed in a batch loop that
    was compiled around the old one from another file.
    """

    def get_source_stamp(self) -> str:
        return _folder_stamp(Path(self._py_file).resolve().parent)  # type: ignore[attr-defined]


class _ChosenFolder(_FolderStamp, caching.UserProvidedCacheLocator):
    """The folder that NUMBA_CACHE_DIR names."""


class _SourceFolder(_FolderStamp, caching.InTreeCacheLocator):
    """`__pycache__` beside the source."""


class _UserFolder(_FolderStamp, caching.UserWideCacheLocator):
    """The user's cache folder, for sources that lie in a read-only place."""


class _CacheFiles(caching.CompileResultCacheImpl):
    _locator_classes: list[type[object]] = [_ChosenFolder, _SourceFolder, _UserFolder]  # noqa: RUF012 - numba's type


class _KernelCache(caching.FunctionCache):
    _impl_class = _CacheFiles

    def save_overload(self, signature: Any, data: Any) -> None:
        try:
            super().save_overload(signature, data)
        except OSError:  # a full disk costs the next run a compilation, not this run its life
            self.disable()


def kernel(function: Callable[..., Any]) -> Any:
    """Compiles `function` at its first call, lets go of the interpreter lock, and keeps the code on disk if it can."""
    dispatcher: Any = njit(nogil=True)(function)
    with suppress(RuntimeError):  # no cache folder is writable: compile in every process instead
        dispatcher._cache = _KernelCache(function)  # what `cache=True` sets, with the folder's stamp
    return dispatcher
