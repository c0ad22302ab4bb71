"""From a verified archive to data in its place: unpacked beside, checked file by file, then moved in one step."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from common.errors import DataError
from common.storage.data_folders import is_foreign
from data.checksums import Digests, Hasher
from data.disk import explained_errors, move_into_place, require_space, sync_files
from data.extract import check_compression, extract, extract_nested
from data.registry import Archive, Entry
from data.store import Store

_BLOCK = 1 << 20
# How much larger than the archive its content is taken to be, where only unpacking would tell.
_COMPRESSED, _UNCOMPRESSED = 2.0, 1.05


def unpacked_size(archive: Archive, size: int) -> int:
    """An estimate of the bytes that unpacking an archive of `size` bytes needs."""
    if archive.kind == "file":
        return 0
    return int(size * (_UNCOMPRESSED if archive.file.endswith(".tar") else _COMPRESSED))


def install(
    store: Store,
    entry: Entry,
    archive: Archive,
    source: Path,
    digests: Digests,
    origin: str,
    *,
    keep_source: bool,
    progress: Callable[[int], object] = int,
) -> None:
    """Puts the verified file `source` in the archive's place, whole or not at all. Needs the entry's lock.

    keep_source: the file belongs to the user, and is copied rather than moved; a partial download is removed.
    Raises DataError for an unsafe or damaged archive, wrong members, wrong counts, a full disk.
    """
    stage = store.work(entry) / "stage"
    # What a killed process left behind.
    shutil.rmtree(stage, ignore_errors=True)
    with explained_errors(f"Installing {archive.file}"):
        stage.mkdir(parents=True)
        require_space(stage, unpacked_size(archive, digests.size), f"unpacking {archive.file}")
        try:
            if archive.kind == "file":
                if not archive.published.has_checksum:  # then its own check sums are all there is to go by
                    check_compression(source)
                staged, found = stage / "file", {"": digests}
                _take(source, staged, keep_source, digests)
            else:
                staged, found = _unpack(archive, source, stage, progress)
                _check_content(archive, found, origin)
            sync_files(staged / path if path else staged for path in found)
            # Before the move: a record without data reads as "not here", data without a record as not ours.
            store.write_record(entry, archive, origin, digests, found)
            move_into_place(staged, store.target(entry, archive))
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    if not keep_source:
        source.unlink(missing_ok=True)


def _take(source: Path, target: Path, keep_source: bool, digests: Digests) -> None:
    # No second name for the user's file, although it would cost nothing: what is edited under the one name changes
    # under the other.
    if not keep_source:
        with open(target, "xb") as file:
            new = os.fstat(file.fileno())
        try:
            os.rename(source, target)
            with contextlib.suppress(PermissionError):  # a file that was another's stays as it is
                os.chown(target, -1, new.st_gid)  # of a shared folder, whose members are to read it
                os.chmod(target, stat.S_IMODE(new.st_mode))
            return
        except OSError as error:
            if error.errno != errno.EXDEV:  # of another disk it can only be copied
                raise
    require_space(target.parent, digests.size, f"copying {source}")
    hasher = Hasher()
    with open(source, "rb") as original, open(target, "wb") as copy:
        while block := original.read(_BLOCK):
            hasher.update(block)
            copy.write(block)
    if hasher.digests() != digests:
        raise DataError(f"{source} changed while it was copied: leave it alone, and import it again.")


def _unpack(
    archive: Archive, source: Path, stage: Path, progress: Callable[[int], object]
) -> tuple[Path, dict[str, Digests]]:
    """The folder that is to be moved into place, and the files in it."""
    content = stage / "content"
    content.mkdir()
    found = extract(source, archive.kind, content, progress)
    if archive.nested:
        found = extract_nested(archive.nested, content, found)
    own = _without_foreign(found)
    top = {PurePosixPath(path).parts[0] for path in own if "/" in path}
    root = archive.root
    if root == "*":
        only_one = len(top) == 1 and not any("/" not in path for path in own)
        root = top.pop() if only_one else None
    elif root and root not in top:
        raise DataError(f"{archive.file} holds no folder {root!r}, but {sorted(top)[:5]}: it is another archive.")
    if root is None:
        return content, found
    inside = {path.removeprefix(f"{root}/"): digests for path, digests in found.items() if path.startswith(f"{root}/")}
    return content / root, inside


def _without_foreign(paths: Iterable[str]) -> list[str]:
    """Those that a Mac, for one, did not add when it packed the archive: __MACOSX/._a.jpg."""
    return [path for path in paths if not any(map(is_foreign, PurePosixPath(path).parts))]


def _check_content(archive: Archive, found: dict[str, Digests], origin: str) -> None:
    for name, published in archive.members.items():
        if name not in found:
            raise DataError(f"{origin}: the archive lacks {name}: obtain it again.")
        if difference := published.difference(found[name]):
            raise DataError(f"{origin}: {name} in the archive differs ({difference}): obtain it again.")
    for folder, expected in archive.counts.items():
        count = sum(path.startswith(f"{folder}/") for path in _without_foreign(found))
        if count != expected:
            raise DataError(f"{origin}: {folder} holds {count} files, it must hold {expected}: obtain it again.")
