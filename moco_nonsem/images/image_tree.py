"""Trees of images, a folder a class, the textures that belong to them, and what a record says of them."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from common.errors import UsageError, refuse
from common.machine import cores
from common.storage.data_folders import entries, files_below, say_left_out
from common.storage.text_files import name_in
from moco_nonsem.images.image_files import unreadable

ENDINGS = (".jpeg", ".jpg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # of torchvision's ImageFolder
TEXTURE_TREE = "-texture"
# The two patches that a texture was made from may lie beside it.
LEFT_OVER = ("texture1_", "texture2_")


@dataclass(frozen=True)
class ImageTree:
    """Images and their classes.

    paths: N files; labels: int64 [N], places in `classes`, which are sorted; textures: N files, or None.
    """

    paths: tuple[Path, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    textures: tuple[Path, ...] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def without(self, dropped: np.ndarray) -> ImageTree:
        """The tree without some of its images; dropped: bool [N]."""
        kept = np.flatnonzero(~dropped)
        textures = None if self.textures is None else tuple(self.textures[index] for index in kept)
        return ImageTree(tuple(self.paths[index] for index in kept), self.labels[kept], self.classes, textures)


def training_tree(data: Path, robust: str) -> ImageTree:
    """The images of `data`/train; for robust="texture" `data` names the tree of textures, `<root>-texture`.

    Raises: UsageError for a missing tree, an empty class, a texture or a photograph without its partner.
    """
    if robust != "texture":
        return read_tree(data / "train")
    textures = Path(os.path.abspath(data))
    root = textures.name.removesuffix(TEXTURE_TREE)
    if root in (textures.name, ""):
        raise UsageError(
            f"{data}: with --robust texture the data argument names the tree of textures, <root>{TEXTURE_TREE}, which "
            "preprocess/imagenet_texture_syn.py makes of <root>"
        )
    # DEVIATION: the authors replace `-texture` and `png` anywhere in the path; ours in the root's name and the ending.
    return _pair(textures.with_name(root) / "train", textures / "train")


def read_tree(folder: Path) -> ImageTree:
    """All images below `folder`/<class>/, sorted; what other programs left there is left out, and said.

    Raises: UsageError, naming the classes without an image.
    """
    classes, files = _class_files(folder)
    empty = [str(folder / name) for name, paths in zip(classes, files, strict=True) if not paths]
    refuse(empty, f"class folder(s) without an image ({', '.join(ENDINGS)})", "fill them, or remove them")
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in files])
    return ImageTree(tuple(path for paths in files for path in paths), labels, classes)


def readable_images(tree: ImageTree, folder: Path, part: str, skip: bool) -> tuple[ImageTree, dict[str, str]]:
    """The images that can be read, with their textures, and what `describe` says of them. Reads every file.

    Raises: UsageError naming the unreadable ones unless `skip`, and where none is left.
    """
    bad = dict(unreadable(tree.paths + (tree.textures or ()), cores()))
    if not skip:
        shown = [f"{path} ({why})" for path, why in bad.items()]
        refuse(shown, "file(s) cannot be read as images", "unpack them again, or leave them out: --skip-unreadable")
    pairs = zip(tree.paths, tree.textures or tree.paths, strict=True)
    dropped = np.array([path in bad or texture in bad for path, texture in pairs], bool)
    if dropped.all():
        raise UsageError(f"none of the {len(tree)} images can be read, the first is {tree.paths[0]}; unpack them again")
    skipped = int(dropped.sum())
    if skipped:
        logging.warning("%d images of %s cannot be read and are left out", skipped, folder)
    tree = tree.without(dropped)
    described = describe(tree, folder, part)
    if skipped:
        described["version"] += f", {skipped} unreadable ones left out"
    return tree, described


def describe(tree: ImageTree, folder: Path, part: str) -> dict[str, str]:
    """Name, version and fingerprint of the part (`train`, `val`) of the data in `folder`, for the record.

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


def _pair(photographs: Path, textures: Path) -> ImageTree:
    """Each photograph with the texture that mirrors its path, ending apart."""
    tree = read_tree(photographs)
    wanted = {path.relative_to(photographs).with_suffix(""): path for path in tree.paths}
    twice = [str(path) for path in tree.paths if wanted[path.relative_to(photographs).with_suffix("")] != path]
    refuse(twice, "photograph(s) with the name of another but for its ending", "rename or remove them")
    texture_of = {
        path.relative_to(textures).with_suffix(""): path
        for path in chain(*_class_files(textures)[1])
        if path.suffix.lower() == ".png" and not path.name.startswith(LEFT_OVER)
    }
    # DEVIATION: the authors train on left-over patches too, and fail in mid-epoch where a photograph is missing; here
    # left-overs are ignored, and a gap is an error before training.
    lonely = [str(path) for key, path in texture_of.items() if key not in wanted]
    refuse(lonely, f"texture(s) without a photograph in {photographs}", "remove them, or complete the photographs")
    missing = [str(path) for key, path in wanted.items() if key not in texture_of]
    refuse(missing, f"image(s) without a texture in {textures}", "run preprocess/imagenet_texture_syn.py again")
    return ImageTree(tree.paths, tree.labels, tree.classes, tuple(texture_of[key] for key in wanted))


def _class_files(folder: Path) -> tuple[tuple[str, ...], list[list[Path]]]:
    """The classes, sorted, and the image files of each."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is missing, or not a folder; it must hold a folder of images for each class")
    # DEVIATION: to the authors' reader .ipynb_checkpoints, @eaDir or lost+found is a class, or full of images.
    left_out: list[str] = []
    classes = tuple(entry.name for entry in entries(folder, left_out) if entry.is_dir())
    if not classes:
        raise UsageError(f"{folder} holds no folder; it must hold a folder of images for each class")
    files = [sorted(files_below(folder / name, ENDINGS, left_out)) for name in classes]
    say_left_out(folder, left_out)
    return classes, files
