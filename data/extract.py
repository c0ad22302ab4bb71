"""Unpacking archives that are not trusted: nothing lands outside the folder given, nothing but plain files and folders.

Links are refused altogether: no data set here needs one, and a link is how a later member escapes.
"""

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from data.checksums import Digests, Hasher
from data.disk import require_space
from data.errors import DataError

_BLOCK = 1 << 20
# Folders that macOS adds to the archives it makes; they would hide that there is one top-level folder.
_DEBRIS = "__MACOSX"


class UnsafeArchive(DataError):
    """An archive that tries to write where it must not."""


def _safe_path(name: str, folder: Path, archive: Path) -> Path:
    """Where a member goes. Raises UnsafeArchive for absolute and parent paths, drive letters, control characters."""
    parts = PurePosixPath(name).parts
    if (
        not parts
        or name.startswith("/")
        or ".." in parts
        or "\\" in name
        or ":" in parts[0]
        or any(ord(character) < 32 for character in name)
    ):
        raise UnsafeArchive(f"{archive}: the member {name!r} would leave its folder: do not use this archive.")
    return folder.joinpath(*parts)


def _write(source: IO[bytes], target: Path, archive: Path) -> Digests:
    if target.exists():
        raise UnsafeArchive(f"{archive}: two members are called {target.name}: do not use this archive.")
    target.parent.mkdir(parents=True, exist_ok=True)
    hasher = Hasher()
    with open(target, "xb") as stream:
        while block := source.read(_BLOCK):
            hasher.update(block)
            stream.write(block)
    return hasher.digests()


def _extract_tar(archive: Path, folder: Path, progress: Callable[[int], object]) -> dict[str, Digests]:
    found: dict[str, Digests] = {}
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            target = _safe_path(member.name, folder, archive)
            if not (member.isreg() or member.isdir()):
                raise UnsafeArchive(f"{archive}: {member.name!r} is a link or a device: do not use this archive.")
            if hasattr(tarfile, "data_filter"):
                try:
                    tarfile.data_filter(member, str(folder))
                except tarfile.FilterError as error:
                    raise UnsafeArchive(f"{archive}: {error}: do not use this archive.") from error
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            source = tar.extractfile(member)
            assert source is not None  # a regular file always has content
            found[target.relative_to(folder).as_posix()] = _write(source, target, archive)
            progress(member.size)
    return found


def _extract_zip(archive: Path, folder: Path, progress: Callable[[int], object]) -> dict[str, Digests]:
    found: dict[str, Digests] = {}
    with zipfile.ZipFile(archive) as source:
        members = source.infolist()
        require_space(folder, sum(member.file_size for member in members), f"unpacking {archive.name}")
        for member in members:
            target = _safe_path(member.filename, folder, archive)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise UnsafeArchive(f"{archive}: {member.filename!r} is a link or a device: do not use this archive.")
            if member.flag_bits & 1:
                raise DataError(f"{archive}: {member.filename!r} is encrypted: unpack it by hand.")
            if target.relative_to(folder).parts[0] == _DEBRIS:
                continue
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            with source.open(member) as stream:
                found[target.relative_to(folder).as_posix()] = _write(stream, target, archive)
            progress(member.file_size)
    return found


def extract(archive: Path, kind: str, folder: Path, progress: Callable[[int], object] = int) -> dict[str, Digests]:
    """Unpacks a "tar" (any compression) or "zip" into the empty folder `folder`.

    Returns what was written: path relative to `folder` (with "/") → digests. `progress` gets each file's size.
    Raises UnsafeArchive, or DataError for a damaged archive; what was written until then is the caller's to remove.
    """
    try:
        return (_extract_tar if kind == "tar" else _extract_zip)(archive, folder, progress)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(f"{archive} is not a readable {kind} archive ({error}): obtain it again.") from error
    except OSError as error:
        # gzip and lzma report damage as an OSError without an error number.
        if error.errno is None:
            raise DataError(f"{archive} is not a readable {kind} archive ({error}): obtain it again.") from error
        raise


def extract_nested(name: str, folder: Path, found: dict[str, Digests]) -> dict[str, Digests]:
    """Unpacks the zip called `name` that lies among the files `found` in `folder`, in its place, and removes it.

    Returns `found` with the zip replaced by its content. Raises DataError if there is not exactly one such zip.
    """
    inner = [path for path in found if PurePosixPath(path).name == name]
    if len(inner) != 1:
        raise DataError(f"The archive holds {len(inner)} files called {name}, it must hold one: is it the right one?")
    path = folder / inner[0]
    unpacked = path.with_name(path.name + ".unpacked")
    unpacked.mkdir()
    within = extract(path, "zip", unpacked)
    path.unlink()
    for child in unpacked.iterdir():
        if (path.parent / child.name).exists():
            raise DataError(f"{name} holds {child.name}, which lies beside it already: unpack it by hand.")
        child.rename(path.parent / child.name)
    unpacked.rmdir()
    outer = {other: digests for other, digests in found.items() if other != inner[0]}
    return outer | {(PurePosixPath(inner[0]).parent / file).as_posix(): digests for file, digests in within.items()}
