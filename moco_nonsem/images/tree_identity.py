"""What a run's record says of a tree of images."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from common.text_files import name_in
from moco_nonsem.images.image_tree import ImageTree


def describe(tree: ImageTree, folder: Path, part: str) -> dict[str, str]:
    """Name, version and fingerprint of the part (`train`, `val`) of the data in `folder`.

    The fingerprint is of every file's class, name and size, textures included; not of their pixels. The name is what a
    file NAME in the folder says, else `unverified-<8 hex>`.
    """
    digest = hashlib.sha256()
    for path, label in zip(tree.paths, tree.labels.tolist(), strict=True):
        digest.update(os.fsencode(f"{tree.classes[label]}/{path.name} {path.stat().st_size}\n"))
    for path in tree.textures or ():
        digest.update(os.fsencode(f"{path.name} {path.stat().st_size}\n"))
    fingerprint = digest.hexdigest()
    return {
        "name": name_in(folder) or f"unverified-{fingerprint[:8]}",
        "version": f"{part}: {len(tree)} images of {len(tree.classes)} classes",
        "fingerprint": fingerprint,
    }
