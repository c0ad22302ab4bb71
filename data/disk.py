"""Disk work that must not be half done: space, durable files, atomic moves."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import DataError, way_out
from common.storage.files import sync, temporary_beside

# Above this many files one sync of everything is cheaper than a sync for each.
_MANY_FILES = 1000


def human(size: int | None) -> str:
    """`size` bytes for a reader: "unknown", "163 MB" (powers of 1,000)."""
    if size is None:
        return "unknown"
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}"


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Raises DataError if the disk that holds `folder` (which must exist) has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"{purpose} needs about {human(needed)}, the disk of {folder} has {human(free)} free: "
            "free some space, or name another place with --data_dir."
        )


@contextmanager
def explained_errors(doing: str) -> Iterator[None]:
    """Turns an operating system error met while `doing` something into one sentence (DataError)."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{doing} stopped, {explained(error)}.") from error


def explained(error: OSError) -> str:
    """An operating system error in words, with the way out."""
    return way_out(error, "--data_dir or DATA_DIR")


def sync_files(paths: Iterable[Path]) -> None:
    """Makes the content of all these files survive a power cut."""
    paths = list(paths)
    if len(paths) > _MANY_FILES:
        os.sync()
        return
    for path in paths:
        sync(path)


def move_into_place(source: Path, target: Path) -> None:
    """Renames a file or folder to `target`, which must not exist; copies it where that lies on another file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # part of the data folder is a link to another disk, or one mounted there
            raise
        beside = temporary_beside(target)
        try:
            shutil.copytree(source, beside) if source.is_dir() else shutil.copyfile(source, beside)
            sync_files([path for path in beside.rglob("*") if path.is_file()] if beside.is_dir() else [beside])
            os.rename(beside, target)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True) if beside.is_dir() else beside.unlink(missing_ok=True)
            raise
    sync(target.parent)
