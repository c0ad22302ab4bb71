"""Hashing files, and comparing what was found with what was published."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Digests:
    """What a file really is."""

    sha256: str
    md5: str
    size: int


@dataclass(frozen=True)
class Published:
    """What a file should be, as far as its publisher says: None is unknown."""

    sha256: str | None = None
    md5: str | None = None
    size: int | None = None

    @property
    def has_checksum(self) -> bool:
        """Whether content can be compared, not only length."""
        return bool(self.sha256 or self.md5)

    def difference(self, found: Digests) -> str | None:
        """What differs, in words, or None. Only what was published is compared, every part of it."""
        for what in ("size", "sha256", "md5"):
            expected, actual = getattr(self, what), getattr(found, what)
            if expected is not None and expected != actual:
                return f"{what} is {actual}, published is {expected}"
        return None


class Hasher:
    """Both digests in one pass over the bytes."""

    def __init__(self) -> None:
        # MD5 serves here only to compare with what publishers printed, not for security.
        self._sha256, self._md5, self._size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0

    def update(self, block: bytes) -> None:
        """Adds a block of bytes."""
        self._sha256.update(block)
        self._md5.update(block)
        self._size += len(block)

    def digests(self) -> Digests:
        """The digests of all bytes so far."""
        return Digests(self._sha256.hexdigest(), self._md5.hexdigest(), self._size)


def hash_file(path: Path, progress: Callable[[int], object] | None = None) -> Digests:
    """SHA-256, MD5 and size of a file; `progress` is called with the size of each block. Raises OSError."""
    hasher = Hasher()
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)
            if progress:
                progress(len(block))
    return hasher.digests()


def fingerprint(members: dict[str, str]) -> str:
    """SHA-256 over the lines `name:sha256`, sorted by name: one value for a folder of files."""
    lines = "".join(f"{name}:{sha256}\n" for name, sha256 in sorted(members.items()))
    return hashlib.sha256(os.fsencode(lines)).hexdigest()
