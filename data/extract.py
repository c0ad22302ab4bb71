"""Unpacking archives that are not trusted: nothing lands outside the folder given, nothing but plain files and folders.

Links are refused altogether: no data set here needs one, and a link is how a later member escapes.
"""

import bz2
import errno
import gzip
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from common.errors import DataError
from common.storage.data_folders import is_foreign
from data.checksums import Digests, Hasher
from data.disk import human, require_space

_BLOCK = 1 << 20
# Folders that macOS adds to the archives it makes; they would hide that there is one top-level folder.
_DEBRIS = "__MACOSX"
# What a tar may hold beside its content: long names and the like of one member, padding after the last one.
_LARGEST_HEADER, _LONGEST_PADDING = 1 << 16, 64 * _BLOCK
# No name and no number has as many digits; tarfile takes time with their square.
_TOO_MANY_DIGITS = re.compile(rb"\d{300}")
_RECORD = 512
# How compressed files begin.
_COMPRESSIONS: dict[bytes, Callable[..., Any]] = {
    rb"\x1f\x8b\x08": gzip.open,
    rb"BZh[1-9](1AY&SY|\x17rE8P\x90)": bz2.open,
    rb"\xfd7zXZ\x00": lzma.open,
    rb"\]\x00\x00..\xff{8}": lzma.open,
}
_ZIP, _ZIP_END = b"PK\x03\x04", (1 << 16) + 256  # how it begins; how long its end may be


class UnsafeArchive(DataError):
    """An archive that tries to write where it must not."""


class DamagedArchive(DataError):
    """An archive that is not as it was made: cut, with wrong bytes, or none at all."""


def _safe_path(name: str, folder: Path, archive: Path) -> Path:
    """Where a member goes; the folder itself for `./`.

    Raises UnsafeArchive for absolute and parent paths, drive letters, control characters, no name; DataError for a name
    that is not UTF-8.
    """
    parts = PurePosixPath(name).parts
    if not name:
        raise UnsafeArchive(f"{archive}: a member has no name: do not use this archive.")
    if (
        name.startswith("/")
        or ".." in parts
        or "\\" in name
        or (parts and ":" in parts[0])
        or any(ord(character) < 32 for character in name)
    ):
        raise UnsafeArchive(f"{archive}: the member {name!r} would leave its folder: do not use this archive.")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{archive}: the name of the member {name!a} is not UTF-8: unpack it by hand and pack it again under names "
            "that are."
        ) from error
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


class _BoundedHeader(tarfile.TarInfo):
    """A member's header, with those for its long name and the like before it."""

    @classmethod
    def fromtarfile(cls, tar: Any) -> "_BoundedHeader":
        """The next header; calls itself for what belongs to it. Raises tarfile.ReadError for one made to exhaust."""
        with tar.fileobj.reading_header():
            header = super().fromtarfile(tar)
        if header.size < 0:  # tarfile would read the same members for ever
            raise tarfile.ReadError(f"{header.name!a} has a size below 0")
        return header


class _BoundedStream:
    """The decompressed bytes of a file, for tarfile: the headers of a member, which it holds in memory, are bounded.

    last: the last record that was read.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left = stream, -1  # bytes that headers may still take; -1: content is read
        self.seek, self.tell, self.last = stream.seek, stream.tell, b""

    @contextmanager
    def reading_header(self) -> Iterator[None]:
        """What is read inside is of one member's headers."""
        if self._left >= 0:  # of one that belongs to a header that is being read
            yield
            return
        self._left = _LARGEST_HEADER
        try:
            yield
        finally:
            self._left = -1

    def read(self, size: int) -> bytes:
        """As a file's. Raises tarfile.ReadError for too much of a header."""
        if self._left < 0:
            return self._stream.read(size)
        if not 0 <= size <= self._left:
            raise tarfile.ReadError(f"a member has headers of more than {human(_LARGEST_HEADER)}")
        self._left -= size
        self.last = self._stream.read(size)
        if _TOO_MANY_DIGITS.search(self.last):
            raise tarfile.ReadError("a header holds more digits than any name or number has")
        return self.last

    def close(self) -> None:
        """Left to whoever opened the file."""


def _decompressor(path: Path) -> Callable[..., Any] | None:
    """What opens a compressed file, by what it begins with; None for another."""
    with open(path, "rb") as file:
        start = file.read(16)
    return next((opens for magic, opens in _COMPRESSIONS.items() if re.match(magic, start, re.DOTALL)), None)


def _read_to_the_end(stream: IO[bytes], most: int | None = None) -> None:
    """Compares the check sum of the compression, which is at the stream's end. most: bytes that there may be."""
    found = 0
    while block := stream.read(_BLOCK):
        found += len(block)
        if most is not None and found > most:
            raise tarfile.ReadError(f"more than {human(most)} after its end")


def _extract_tar(archive: Path, folder: Path, progress: Callable[[int], object]) -> dict[str, Digests]:
    found: dict[str, Digests] = {}
    with (
        (_decompressor(archive) or open)(archive, "rb") as stream,
        tarfile.open(fileobj=(bounded := _BoundedStream(stream)), mode="r:", tarinfo=_BoundedHeader) as tar,  # type: ignore[call-overload]
    ):
        for member in tar:
            target = _safe_path(member.name, folder, archive)
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise UnsafeArchive(
                    f"{archive}: {member.name!r} is a link, a device or sparse: do not use this archive."
                )
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            if hasattr(tarfile, "data_filter"):
                try:
                    tarfile.data_filter(member, str(folder))
                except tarfile.FilterError as error:
                    raise UnsafeArchive(f"{archive}: {error}: do not use this archive.") from error
            source = tar.extractfile(member)
            assert source is not None  # a regular file always has content
            found[target.relative_to(folder).as_posix()] = _write(source, target, archive)
            progress(member.size)
        # tarfile takes a damaged header, or none, for the end.
        if bounded.last != bytes(_RECORD):
            raise tarfile.ReadError("no header and no end where there must be one")
        _read_to_the_end(stream, _LONGEST_PADDING)
    return found


def _number_of_members(archive: Path) -> int | None:
    """How many members a zip says at its end that it has; None where it does not say it."""
    with open(archive, "rb") as file:
        file.seek(-min(archive.stat().st_size, _ZIP_END), os.SEEK_END)
        end = file.read()
    place = end.rfind(b"PK\x05\x06")
    count = int.from_bytes(end[place + 10 : place + 12], "little")
    if count < 0xFFFF:
        return count
    place = end.rfind(b"PK\x06\x06")  # the record for larger numbers
    return int.from_bytes(end[place + 32 : place + 40], "little") if place >= 0 else None


def _extract_zip(archive: Path, folder: Path, progress: Callable[[int], object]) -> dict[str, Digests]:
    found: dict[str, Digests] = {}
    with zipfile.ZipFile(archive) as source:
        members = source.infolist()
        # zipfile takes what a damaged entry swallows for its comment.
        if (count := _number_of_members(archive)) not in (None, len(members)):
            raise zipfile.BadZipFile(f"it lists {len(members)} of its {count} members")
        require_space(folder, sum(member.file_size for member in members), f"unpacking {archive.name}")
        for member in members:
            target = _safe_path(member.filename, folder, archive)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise UnsafeArchive(f"{archive}: {member.filename!r} is a link or a device: do not use this archive.")
            if member.flag_bits & 1:
                raise DataError(f"{archive}: {member.filename!r} is encrypted: unpack it by hand.")
            if target.relative_to(folder).parts[:1] == (_DEBRIS,):
                continue
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            with source.open(member) as stream:
                found[target.relative_to(folder).as_posix()] = _write(stream, target, archive)
            progress(member.file_size)
    return found


@contextmanager
def _damage_explained(path: Path, kind: str) -> Iterator[None]:
    """Whatever reading a damaged file inside raises becomes a DamagedArchive."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        # Damage is an OSError without a number (gzip, lzma), or of a place before the file's beginning; others are the
        # disk's.
        if isinstance(error, OSError) and not (
            error.errno is None or (error.errno == errno.EINVAL and error.filename is None)
        ):
            raise
        said = str(error) or type(error).__name__
        raise DamagedArchive(f"{path} is not a readable {kind} ({said:.200}): obtain it again.") from error


def extract(archive: Path, kind: str, folder: Path, progress: Callable[[int], object] = int) -> dict[str, Digests]:
    """Unpacks a "tar" (any compression) or "zip" into the empty folder `folder`.

    Returns what was written: path relative to `folder` (with "/") → digests. `progress` gets each file's size.
    Raises UnsafeArchive, or DamagedArchive; what was written until then is the caller's to remove. A compressed file
    is read to its end, where its check sum is.
    """
    with _damage_explained(archive, f"{kind} archive"):
        found = (_extract_tar if kind == "tar" else _extract_zip)(archive, folder, progress)
        if not found:
            raise EOFError("it holds no file")
    return found


def check_compression(path: Path) -> None:
    """Compares the check sums that a file holds, if it is compressed or a zip (as torch's are) by its first bytes.

    Raises DamagedArchive.
    """
    with _damage_explained(path, "compressed file"):
        if opens := _decompressor(path):
            with opens(path, "rb") as stream:
                _read_to_the_end(stream)
            return
        with open(path, "rb") as file:
            if file.read(len(_ZIP)) != _ZIP:
                return
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"the checksum of {damaged!a} does not agree")


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
        if is_foreign(child.name):  # a Mac's __MACOSX/ lies in both
            continue
        if (path.parent / child.name).exists():
            raise DataError(f"{name} holds {child.name}, which lies beside it already: unpack it by hand.")
        child.rename(path.parent / child.name)
    shutil.rmtree(unpacked)
    within = {file: digests for file, digests in within.items() if not is_foreign(PurePosixPath(file).parts[0])}
    outer = {other: digests for other, digests in found.items() if other != inner[0]}
    return outer | {(PurePosixPath(inner[0]).parent / file).as_posix(): digests for file, digests in within.items()}
