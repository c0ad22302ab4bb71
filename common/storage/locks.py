"""Locks that keep a second process out, also on file systems that have none. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from common.errors import RecordError

LOCK = "run.lock"
HELD = {errno.EAGAIN, errno.EACCES}  # by another process; systems differ
# Lustre and some FUSE file systems without their mount option, NFS without its lock daemon, containers that forbid it.
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL}
POLL_SECONDS = 0.1
_told: list[str] = []  # the folder that the warning was about


def try_lock(descriptor: int, path: str | os.PathLike[str]) -> bool:
    """Takes the lock of a file that is open for writing; whether no other process has it. path: for the warning.

    A file system without locks gives it to everybody, with one warning a process. Raises: OSError where a disk fails.
    """
    # A POSIX record lock: it ends with its process, even a killed one; forked workers that outlive it do not hold it.
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            return False
        if error.errno not in NO_LOCKS:
            raise
        _warn(os.path.dirname(path), error.strerror)
    return True


def _warn(folder: str, reason: str | None) -> None:
    if not _told:
        _told.append(folder)
        logging.warning(
            "the file system of %s has no locks (%s): nothing keeps two processes from writing the same run or "
            "data set at once, so start each only once",
            folder,
            reason,
        )


def is_running(folder: str | os.PathLike[str]) -> bool:
    """Whether another process is writing this run at the moment."""
    path = os.path.join(folder, LOCK)  # asked thousands of times: a Path takes longer
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not try_lock(descriptor, path)
    finally:
        os.close(descriptor)


def take_lock(folder: Path) -> int:
    """Keeps every other process from writing to this run folder; closing what this returns lets them again.

    Raises: RecordError where another process is writing it.
    """
    path = folder / LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    if not try_lock(descriptor, path):
        os.close(descriptor)
        raise RecordError(f"{folder}: another process is writing this run; wait for it, or stop it first")
    return descriptor


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the lock of a file, which is made; waiting() is called once where another process has it at first."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not try_lock(descriptor, path):
            waiting()
            while not try_lock(descriptor, path):
                time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)
