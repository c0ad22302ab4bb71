"""Files that are either the old ones or the new ones, never half of either. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.errors import RecordError, UsageError, explained

NO_SYNC = {errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
LONGEST_NAME = 143  # bytes, of an encrypted home (eCryptfs); elsewhere 255

TEMPORARY = r"\..+\.(\d+)\.tmp"  # the name of a file that is being written, and the process that writes it


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside `path`; what was written there takes the place of `path` when the block ends well.

    The temporary file lies in the same folder because a rename is atomic only within one file system. File and folder
    are synced, so the new file also survives a power cut. If anything fails, a full disk for one, the old file stays.
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path  # /dev/null, /dev/stdout, a pipe: nothing is there to be kept, and a file must not take its place
        return
    temporary = temporary_beside(path)
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


def temporary_beside(path: Path) -> Path:
    """The name under which a process makes a file of this name; `.*.tmp`, so that what a killed one left is found."""
    if not path.name:  # what an empty word on a command line becomes
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    name = f".{path.name}.{os.getpid()}.tmp"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}.{os.getpid()}.tmp"
    return path.with_name(name)


def check_writable(folder: Path, places: str) -> None:
    """Whether files can be written below `folder`, which need not exist yet. places: the flags that name another.

    Raises: UsageError.
    """
    there = folder
    while not os.path.lexists(there):
        there = there.parent
    try:
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
        # Asked of the kernel, which knows the file system too; what only a server knows is found when it is written to.
        if not os.access(there, os.W_OK | os.X_OK):
            code = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
            raise OSError(code, os.strerror(code), str(there))
    except OSError as error:
        raise UsageError(explained(error, places)) from error


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
    except OSError as error:
        # CIFS and some FUSE file systems do not sync folders: there a rename is as durable as they make it.
        if error.errno not in NO_SYNC or not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise
    finally:
        os.close(descriptor)
