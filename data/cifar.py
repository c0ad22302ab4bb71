"""CIFAR-10 and CIFAR-100 from the official python archives. Needs numpy only.

A folder is used only if its files have the published checksums, or with `allow_unverified`; then the data set goes by
the name in its file `NAME`, else by its fingerprint, so that no record can pass it off as the official one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError, UsageError
from common.paths import data_dir as default_data_dir
from common.storage.text_files import name_in
from data.checksums import Digests, fingerprint, hash_file
from data.dataset import ImageDataset
from data.registry import load_registry
from data.safe_pickle import AGAIN, load_batch

_PIXELS = 3 * 32 * 32
_LONGEST_NAME = 64


@dataclass(frozen=True)
class _Layout:
    train: tuple[str, ...]
    test: str
    meta: str
    labels: bytes
    names: bytes
    num_classes: int


_LAYOUTS = {
    "cifar10": _Layout(
        tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta", b"labels", b"label_names", 10
    ),
    "cifar100": _Layout(("train",), "test", "meta", b"fine_labels", b"fine_label_names", 100),
}


def _layout(name: str) -> _Layout:
    if name not in _LAYOUTS:
        raise UsageError(f"{name!r} is not read here, only {' and '.join(_LAYOUTS)} are: choose one of them.")
    return _LAYOUTS[name]


def find_cifar(name: str, data_dir: Path | str | None = None) -> Path:
    """The folder with the batches: `data_dir` itself if it holds the meta file, else the official folder below it.

    Raises DataError, saying where it looked, if there is none.
    """
    layout, root = _layout(name), default_data_dir(data_dir)
    below = root / load_registry()[name].folder
    for folder in (below, root):
        if (folder / layout.meta).is_file():
            return folder
    raise DataError(
        f"{name} is not here: no file {layout.meta} in {below} nor in {root}. "
        f"Fetch it with `make data-{name}` or `python -m data fetch {name}`, or say in $DATA_DIR where it is."
    )


def _digests(name: str, folder: Path) -> dict[str, Digests]:
    """Member → digests of the file that is there. Raises DataError for a missing or unreadable member."""
    found = {}
    for member in load_registry()[name].archives[0].members:
        path = folder / member
        try:
            found[member] = hash_file(path)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}): fetch {name} again.") from error
    return found


def _own_name(folder: Path, mark: str) -> str:
    """What the file NAME says, in safe characters; never the name of an official data set."""
    unnamed = f"unverified-{mark[:8]}"
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name_in(folder))[:_LONGEST_NAME].strip("-.")
    return unnamed if not name or name in load_registry() else name


def describe_cifar(
    name: str, data_dir: Path | str | None = None, allow_unverified: bool = False
) -> tuple[str, str, str]:
    """(name, version, fingerprint) of the files that `load_cifar` would read; it refuses what that would refuse.

    The fingerprint is `data.checksums.fingerprint` over the members of the official archive. Raises DataError for a
    missing file and for damaged content, UsageError for files that differ from the official ones without
    `allow_unverified` or for a name that is neither cifar10 nor cifar100.
    """
    found = _identity(name, data_dir, allow_unverified)
    if found[1] != "official":  # of those the checksums say enough
        _contents(name, data_dir)
    return found


def _identity(name: str, data_dir: Path | str | None, allow_unverified: bool) -> tuple[str, str, str]:
    folder = find_cifar(name, data_dir)
    found = _digests(name, folder)
    mark = fingerprint({member: digests.sha256 for member, digests in found.items()})
    for member, published in load_registry()[name].archives[0].members.items():
        if difference := published.difference(found[member]):
            if allow_unverified:
                return _own_name(folder, mark), "unverified", mark
            raise UsageError(
                f"{folder / member} is not the official {name} ({difference}): fetch the official files with "
                f"`python -m data fetch {name}`, or add --allow_unverified, which gives the results another name."
            )
    return name, "official", mark


def load_cifar(name: str, data_dir: Path | str | None = None, allow_unverified: bool = False) -> ImageDataset:
    """CIFAR-10 or CIFAR-100 (fine labels) in the official order: official files give 50,000 and 10,000 images.

    data_dir: the folder above `cifar-10-batches-py` or `cifar-100-python`, or that folder itself; default
    `common.paths.data_dir()`. Images are uint8 [N, 32, 32, 3], labels int64 [N].
    Raises what `describe_cifar` raises, and DataError, naming the file, for content that is damaged.
    """
    identity = _identity(name, data_dir, allow_unverified)
    return ImageDataset(*_contents(name, data_dir), *identity)


def _contents(
    name: str, data_dir: Path | str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Training images and labels, test images and labels, class names."""
    layout, folder = _layout(name), find_cifar(name, data_dir)
    class_names = _class_names(folder / layout.meta, layout)
    train = _join(_read(folder / member, layout) for member in layout.train)
    return *train, *_join([_read(folder / layout.test, layout)]), class_names


def _join(
    parts: Iterator[tuple[np.ndarray, np.ndarray]] | list[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _field(content: dict[bytes, Any], key: bytes, path: Path) -> Any:
    if key not in content:
        raise DataError(f"{path} lacks the key {key.decode()!r}: it is not a batch of this data set, fetch it again.")
    return content[key]


def _class_names(path: Path, layout: _Layout) -> tuple[str, ...]:
    names = _field(load_batch(path), layout.names, path)
    texts = [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names]
    if len(set(texts)) != layout.num_classes:
        raise DataError(
            f"{path} names {len(set(texts))} classes, there must be {layout.num_classes}: fetch the data set again."
        )
    return tuple(texts)


def _read(path: Path, layout: _Layout) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, 32, 32, 3] and labels int64 [n] of one batch file, checked."""
    content = load_batch(path)
    pixels, given = _field(content, b"data", path), _field(content, layout.labels, path)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (_PIXELS,):
        is_array = isinstance(pixels, np.ndarray)
        found = f"{pixels.dtype} of shape {pixels.shape}" if is_array else f"a {type(pixels).__name__}"
        raise DataError(f"{path}: the images are {found}, must be uint8 (n, {_PIXELS}): {AGAIN}.")
    if isinstance(given, np.ndarray):
        given = given.ravel().tolist()
    if not isinstance(given, list) or not all(type(label) is int for label in given) or len(given) != len(pixels):
        raise DataError(f"{path}: the labels must be a list of {len(pixels)} whole numbers: {AGAIN}.")
    if outside := [label for label in given if not 0 <= label < layout.num_classes]:
        raise DataError(
            f"{path}: the label {outside[0]} is not in 0…{layout.num_classes - 1}: fetch the data set again."
        )
    # The file holds three planes an image; everything else here wants the channels last.
    images = np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, np.array(given, dtype=np.int64)
