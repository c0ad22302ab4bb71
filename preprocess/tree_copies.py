"""A tree that mirrors files of another one: symbolic links, hard links or copies. Done twice, it is done once."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common.errors import Interrupted, UsageError, WorkFailed
from common.stopping import stop_signals
from common.storage.data_folders import say_left_out
from common.storage.files import atomic_path, temporary_beside
from preprocess.imagenet100 import images_of
from preprocess.progress import progress_bar

LINKS = ("symlink", "hardlink", "copy")
# Of FAT, CIFS and many FUSE file systems; EMLINK where a file has as many names as it may.
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
CHUNK = 512


def place(source: Path, target: Path, link: str) -> bool:
    """Makes `target` a symbolic link to, a hard link to, or a copy of `source`. Returns: whether anything was to do.

    A file is there as asked or it is not there, also after a power cut or kill -9. What stands at `target` in another
    way is replaced. Raises: UsageError for a hard link across file systems.
    """
    if _as_asked(source, target, link):
        return False
    if link == "copy":
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
        return True
    temporary = temporary_beside(target)
    temporary.unlink(missing_ok=True)
    try:
        if link == "symlink":
            temporary.symlink_to(source)
        else:
            os.link(source, temporary)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno == errno.EXDEV:
            raise UsageError(
                f"--link hardlink: {source} and {target} are on different file systems, and a hard link cannot reach "
                "from one to the other; use --link symlink or --link copy"
            ) from error
        if error.errno in NO_LINKS:
            raise UsageError(
                f"--link {link}: the file system of {target.parent} makes no such link ({error.strerror}); use --link "
                "copy"
            ) from error
        raise
    return True


def _as_asked(source: Path, target: Path, link: str) -> bool:
    if link == "symlink":
        return target.is_symlink() and target.readlink() == source
    if target.is_symlink() or not target.exists():
        return False
    if link == "hardlink":
        return target.samefile(source)
    return not target.samefile(source) and target.stat().st_size == source.stat().st_size


def mirror(folders: Mapping[Path, Path], link: str, jobs: int, what: str) -> int:
    """Makes each target folder hold the images of its source folder, several at a time.

    folders: target folder → source folder, both absolute. Returns: how many files there are in all.
    Raises: WorkFailed where the targets hold other images too; Interrupted after Ctrl-C or SIGTERM.
    """
    pairs: list[tuple[Path, Path]] = []
    left_out: list[str] = []
    for target, source in folders.items():
        target.mkdir(parents=True, exist_ok=True)
        for leftover in target.glob(".*.tmp"):
            leftover.unlink()
        pairs += [(image, target / image.name) for image in images_of(source, left_out)]
    if folders:
        say_left_out(Path(os.path.commonpath(folders.values())), left_out)
    with stop_signals() as stopped, ThreadPoolExecutor(jobs) as pool, progress_bar(len(pairs), what) as bar:
        for start in range(0, len(pairs), CHUNK):
            chunk = pairs[start : start + CHUNK]
            list(pool.map(lambda pair: place(pair[0], pair[1], link), chunk))
            bar.update(len(chunk))
            if stopped:
                raise Interrupted(
                    f"stopped after {start + len(chunk)} of {len(pairs)} files; run the same command to resume"
                )
    _count_check(folders)
    return len(pairs)


def _count_check(folders: Mapping[Path, Path]) -> None:
    for target, source in folders.items():
        here, there = ({image.name for image in images_of(folder)} for folder in (target, source))
        if here != there:
            names = sorted(here ^ there)
            raise WorkFailed(
                f"{target} holds {len(here)} images, {source} {len(there)}; they differ in {', '.join(names[:5])}"
                f"{' and others' if len(names) > 5 else ''}: move away what does not belong there and start again"
            )


def refuse_same(source: Path, target: Path, flag: str) -> None:
    """Raises: UsageError where one tree lies in the other, or both are one."""
    one, other = source.resolve(), target.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise UsageError(f"--{flag} {target} and {source} lie in one another; choose a folder beside it")
