"""What other programs leave in folders of data, for tests of every reader."""

from __future__ import annotations

import shutil
from pathlib import Path


def leave(folder: Path, image: Path) -> None:
    """Leaves things beside and in the class folders of `folder`, made of a copy of `image`, one of its images."""
    inside = image.parent
    for place in (".ipynb_checkpoints", ".Trash-1000/files", "__MACOSX", "lost+found", "$RECYCLE.BIN", "#recycle"):
        _copy(image, folder / place / image.name)
    for place in (f"@eaDir/{image.name}/SYNOPHOTO_THUMB_XL.jpg", ".AppleDouble/a.jpg", f"._{image.name}"):
        _copy(image, inside / place)
    _copy(image, inside / f".{image.name}.1.tmp")
    for file in (folder / "Thumbs.db", folder / ".DS_Store", inside / "desktop.ini", inside / f"{image.name}~"):
        file.write_bytes(b"\0")


COUNT = 6 + 4 + 4  # of what `leave` leaves, a folder counting once


def _copy(image: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image, target)
