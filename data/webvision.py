"""WebVision mini and the ImageNet images that go with it: where they lie, in which order, with which labels.

`<data dir>/tensorflow_datasets/webvisionmini-google/{train,val}/<class>/<image>` is the layout of ImageFolder in
tensorflow_datasets. The 50 classes are the first 50 of ImageNet, so a folder is called by WordNet id or by label.
Standard library only: `preprocess` makes and checks these files, `ieg` trains on them.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from common.errors import DataError
from common.storage.data_folders import entries, say_left_out

NUM_CLASSES = 50
FOLDER = Path("tensorflow_datasets") / "webvisionmini-google"
VAL_NAMES = ("val", "validation", "test")
ENDINGS = (".jpg", ".jpeg", ".png")  # what ImageFolder of tensorflow_datasets takes for an image
TEST_IMAGES = 2500  # 50 of each class in ImageNet's validation set
PREPARE = "python -m preprocess.webvision_mini"

_LIST = """
n01440764 n01443537 n01484850 n01491361 n01494475 n01496331 n01498041 n01514668 n01514859 n01518878
n01530575 n01531178 n01532829 n01534433 n01537544 n01558993 n01560419 n01580077 n01582220 n01592084
n01601694 n01608432 n01614925 n01616318 n01622779 n01629819 n01630670 n01631663 n01632458 n01632777
n01641577 n01644373 n01644900 n01664065 n01665541 n01667114 n01667778 n01669191 n01675722 n01677366
n01682714 n01685808 n01687978 n01688243 n01689811 n01692333 n01693334 n01694178 n01695060 n01697457
"""
WNIDS = tuple(_LIST.split())


@dataclass(frozen=True)
class ImageList:
    """Images of one split: paths below `root` in a stable order, the place of an image being its id; labels 0…49."""

    root: Path
    paths: tuple[str, ...]
    labels: tuple[int, ...]

    def files(self) -> list[str]:
        """The full paths."""
        return [str(self.root / path) for path in self.paths]


def webvision_root(data_dir: Path) -> Path:
    """The folder that holds train/ and val/."""
    return data_dir / FOLDER


def imagenet_records(data_dir: Path) -> Path:
    """The 50-class ImageNet test set: TFRecords of image/encoded and image/label."""
    return data_dir / "imagenet2012-50" / "imagenet2012-val.tfrecord-1-of-1"


def probe_records(data_dir: Path, per_class: int) -> Path:
    """The trusted images of l2r and ieg, `per_class` of each class: TFRecords of image/encoded and image/label."""
    return data_dir / f"probe_{NUM_CLASSES * per_class}" / "imagenet2012-probe.tfrecord-1-of-1"


def list_webvision(data_dir: Path) -> tuple[ImageList, ImageList]:
    """Training and validation images. Raises: DataError naming what is missing and how to get it."""
    root = webvision_root(data_dir)
    present = [name for name in VAL_NAMES if (root / name).is_dir()]
    if not (root / "train").is_dir() or not present:
        found = [entry.name for entry in entries(root, [])] if root.is_dir() else []
        raise DataError(
            f"WebVision mini is not here: {root} must hold train/ and val/, one folder a class in each"
            f"{'; it holds ' + ', '.join(found[:5]) if found else ''}. Fetch it with `make data-webvision-mini`, then "
            f"`{PREPARE}` checks it"
        )
    left_out: list[str] = []
    names = {split: _class_names(root / split, left_out) for split in ("train", present[0])}
    if names["train"] != names[present[0]]:
        odd = sorted(set(names["train"]) ^ set(names[present[0]]))
        raise DataError(f"{root}: train/ and {present[0]}/ differ in the classes {', '.join(odd[:5])}; unpack it again")
    train, val = (_list_split(root / split, names[split], left_out) for split in ("train", present[0]))
    say_left_out(root, left_out)
    return train, val


def fingerprint_of(*lists: ImageList) -> str:
    """SHA-256 over paths, labels and sizes: one value for a tree, without reading the images."""
    digest = hashlib.sha256()
    for images in lists:
        for path, label in zip(images.paths, images.labels, strict=True):
            digest.update(os.fsencode(f"{path}\0{label}\0{(images.root / path).stat().st_size}\n"))
    return digest.hexdigest()


def in_label_order(names: list[str]) -> list[str]:
    """Class folders by their label: numbers by value, other names sorted.

    Raises: DataError for WordNet ids or numbers that are not those of ImageNet's first 50 classes: a label would mean
    one class in WebVision and another in ImageNet.
    """
    if all(re.fullmatch(r"\d+", name) for name in names):
        ordered = sorted(names, key=int)
        if [int(name) for name in ordered] != list(range(NUM_CLASSES)):
            raise DataError(f"class folders {ordered[0]}…{ordered[-1]}: as numbers they must be 0…{NUM_CLASSES - 1}")
        return ordered
    ordered = sorted(names)
    if all(re.fullmatch(r"n\d{8}", name) for name in names) and tuple(ordered) != WNIDS:
        odd = sorted(set(ordered) ^ set(WNIDS))
        raise DataError(f"class folders differ from ImageNet's first {NUM_CLASSES} classes in {', '.join(odd[:5])}")
    return ordered


def _class_names(folder: Path, left_out: list[str]) -> list[str]:
    names = [entry.name for entry in entries(folder, left_out) if entry.is_dir()]
    if len(names) != NUM_CLASSES:
        raise DataError(f"{folder} holds {len(names)} class folders, there must be {NUM_CLASSES}; unpack it again")
    try:
        return in_label_order(names)
    except DataError as error:
        raise DataError(f"{folder}: {error}; is this WebVision mini?") from error


def _list_split(folder: Path, names: list[str], left_out: list[str]) -> ImageList:
    """The images of every class, sorted by class and name: the same tree gives the same ids on every machine."""
    paths, labels = [], []
    for label, name in enumerate(names):
        images = [
            entry.name
            for entry in entries(folder / name, left_out)
            if entry.name.lower().endswith(ENDINGS) and not entry.is_dir()
        ]
        if not images:
            raise DataError(f"{folder / name} holds no image ({', '.join(ENDINGS)}); unpack it again")
        paths += [f"{name}/{image}" for image in images]
        labels += [label] * len(images)
    return ImageList(folder, tuple(paths), tuple(labels))
