"""Trees of images with one folder a class, and which of the 100 classes of ImageNet-100 are in them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from common.errors import UsageError
from common.storage.data_folders import entries
from data.imagenet100 import WNIDS

ENDINGS = (".jpeg", ".jpg", ".png")
_WNID = re.compile(r"n\d{8}")


def class_folders(folder: Path) -> dict[str, Path]:
    """The folders in `folder` named like a class (n and eight digits), sorted. Raises: UsageError without any."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; name the folder that holds it, or unpack the data set there")
    found = {path.name: path for path in sorted(folder.iterdir()) if _WNID.fullmatch(path.name) and path.is_dir()}
    if found:
        return found
    inside = [
        entry.name
        for entry in entries(folder, [])
        if entry.is_dir() and any(_WNID.fullmatch(name) for name in os.listdir(entry))
    ]
    hint = f"they are in {', '.join(inside[:3])} in it" if inside else "sort its images into folders n01440764, …"
    raise UsageError(f"{folder} holds no class folders (named n and eight digits); {hint}")


def refuse_missing(folder: Path, there: dict[str, Path]) -> None:
    """Raises: UsageError naming the classes of the 100 that are not `there`, or have a folder without an image."""
    missing = [wnid for wnid in WNIDS if wnid not in there]
    if missing:
        raise UsageError(
            f"{folder} lacks {len(missing)} of the 100 classes: {', '.join(missing)}; "
            "unpack the whole of ImageNet there, one folder a class"
        )
    empty = [wnid for wnid in WNIDS if not images_of(there[wnid])]
    if empty:
        raise UsageError(
            f"{folder} has no image ({', '.join(ENDINGS)}) of {len(empty)} of the 100 classes: {', '.join(empty)}; "
            "unpack them again"
        )


def images_of(folder: Path, left_out: list[str] | None = None) -> list[Path]:
    """The image files in a folder, sorted; paths of what other programs left there are added to `left_out`."""
    there = entries(folder, [] if left_out is None else left_out)
    return [folder / entry.name for entry in there if entry.name.lower().endswith(ENDINGS) and not entry.is_dir()]
