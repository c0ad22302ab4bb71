"""What a run's record says of a tree of images."""

from __future__ import annotations

import hashlib
from pathlib import Path

from moco_nonsem.images.image_tree import ImageTree

NAME = "NAME"


def describe(tree: ImageTree, folder: Path, part: str) -> dict[str, str]:
    """Name, version and fingerprint of the part (`train`, `val`) of the data in `folder`.

    The fingerprint is of every file's class, name and size, textures included; not of their pixels. The name is what a
    file NAME in the folder says, else `unverified-<8 hex>`.
    """
    digest = hashlib.sha256()
    for path, label in zip(tree.paths, tree.labels.tolist(), strict=True):
        digest.update(f"{tree.classes[label]}/{path.name} {path.stat().st_size}\n".encode())
    for path in tree.textures or ():
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
    fingerprint = digest.hexdigest()
    named = folder / NAME
    name = named.read_text(encoding="utf-8", errors="replace").strip() if named.is_file() else ""
    return {
        "name": name or f"unverified-{fingerprint[:8]}",
        "version": f"{part}: {len(tree)} images of {len(tree.classes)} classes",
        "fingerprint": fingerprint,
    }
