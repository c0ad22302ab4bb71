"""Files that are either the old ones or the new ones, never half of either. Standard library only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.errors import RecordError

TEMPORARY = r"\..+\.(\d+)\.tmp"  # the name of a file that is being written, and the process that writes it


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside `path`; what was written there takes the place of `path` when the block ends well.

    The temporary file lies in the same folder because a rename is atomic only within one file system. File and folder
    are synced, so the new file also survives a power cut. If anything fails, a full disk for one, the old file stays.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def atomic_write(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Replace `path` by `data` (text as UTF-8) in one step; on failure the old file is left as it was."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def check_places(folder: Path, patterns: Iterable[str]) -> None:
    """Whether these can be written: patterns of names in `folder`, those of folders with a / at their end.

    Raises: RecordError where a folder has the place of a file, or a file that of a folder.
    """
    for pattern in patterns:
        is_folder = pattern.endswith("/")
        for path in sorted(folder.glob(pattern.rstrip("/"))):
            if path.is_dir() != is_folder:
                kinds = ("file", "folder") if is_folder else ("folder", "file")
                raise RecordError(f"{path} is a {kinds[0]} where the run writes a {kinds[1]}: move it away")


def sync(path: Path) -> None:
    """Makes the content of a file, or the renames inside a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
