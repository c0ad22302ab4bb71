"""Reading many image files: every one that cannot be read is named, and a folder has one fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common.errors import UnreadableImage, UsageError, refuse
from common.progress import tqdm
from common.storage.image_files import decode
from data.checksums import fingerprint


def read_images(paths: Sequence[Path], what: str, read: Callable[[Path], Any] = decode) -> list[Any]:
    """read(path) of every file, in order: uint8 [H, W, 3]. Raises: UsageError naming the files that cannot be read."""
    bad: list[str] = []

    def attempt(path: Path) -> Any:
        try:
            return read(path)
        except UnreadableImage as error:
            bad.append(f"{path} ({error.why})")
            return None

    with ThreadPoolExecutor() as pool:
        progress = tqdm(pool.map(attempt, paths), total=len(paths), unit="image", desc=what, disable=None, leave=False)
        images = [image for image in progress if image is not None]
    refuse_files(bad, "cannot be read as images")
    return images


def refuse_files(bad: Iterable[str], what: str) -> None:
    """Raises: UsageError where there is any in `bad`, naming the first ones."""
    refuse(sorted(bad), f"file(s) {what}", "unpack the archive again, or move them away")


def folder_fingerprint(paths: Sequence[Path], root: Path) -> str:
    """64 hex digits over names and contents of the files."""

    def digest(path: Path) -> tuple[str, str]:
        try:
            return path.relative_to(root).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise UsageError(f"{path} cannot be read ({error.strerror}); unpack the archive again") from error

    with ThreadPoolExecutor() as pool:
        return fingerprint(dict(pool.map(digest, paths)))
