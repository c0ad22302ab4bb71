"""Clothing1M: a million shop photographs in 14 classes, labelled by the words around them; clean test images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.errors import UsageError, refuse
from common.paths import data_dir as default_data_dir
from common.storage.image_files import decode
from common.storage.text_files import read_lines, split_last, whole_number
from re_sln.datasets.image_folder import read_images, refuse_files
from re_sln.datasets.training_set import Data
from re_sln.images.normalisation import normalisation

CLASS_NAMES = (
    "t-shirt",
    "shirt",
    "knitwear",
    "chiffon",
    "sweater",
    "hoodie",
    "windbreaker",
    "jacket",
    "down coat",
    "suit",
    "shawl",
    "dress",
    "vest",
    "underwear",
)
LISTS = ("noisy_train", "clean_val", "clean_test")
CHECKED = 1000  # images that --check opens
LAYOUTS = ("{}.txt", "{}_key_list.txt")  # of the authors' program, and as the archive has them today


def find_clothing1m(data_dir: str | Path | None = None) -> Path:
    """The folder that holds images/ and the lists. Raises: UsageError, saying how to get them."""
    root = default_data_dir(data_dir)
    for folder in (root / "clothing1m", root):
        if _lists(folder):
            return folder
    raise UsageError(
        f"Clothing1M is not here: {root / 'clothing1m' / 'annotations'} holds neither {{{','.join(LISTS)}}}.txt nor "
        f"{{{','.join(LISTS)}}}_key_list.txt. Ask its authors (https://github.com/Cysu/noisy_label) and put images/ "
        "and annotations/ there, or say in $DATA_DIR where it is."
    )


def _lists(root: Path) -> tuple[Path, str] | None:
    """The folder of the lists and how they are called."""
    for layout in LAYOUTS:
        for folder in (root / "annotations", root):
            if all((folder / layout.format(name)).is_file() for name in LISTS):
                return folder, layout
    return None


def read_list(root: Path, name: str) -> tuple[list[str], np.ndarray]:
    """Files, by their paths below `root`, and labels, int64 in 0…13, of one list. Raises: UsageError, naming the line.

    A key list names files only; their labels are in noisy_label_kv.txt or clean_label_kv.txt beside it.
    """
    lists = _lists(root)
    assert lists is not None  # `find_clothing1m` looked
    folder, layout = lists
    path = folder / layout.format(name)
    if layout == LAYOUTS[0]:
        pairs = list(_labelled(path))
    else:
        keys = list(_keys(path))
        kv = folder / f"{name.partition('_')[0]}_label_kv.txt"
        labels = _labels(kv, {key for _, key in keys})
        refuse(
            [key for _, key in keys if key not in labels],
            f"file(s) of {path} have no label in {kv.name}",
            "get the lists again",
        )
        pairs = [(key, labels[key]) for _, key in keys]
    if not pairs:
        raise UsageError(f"{path} is empty; get the annotations again")
    return [file for file, _ in pairs], np.array([label for _, label in pairs], np.int64)


def _lines(path: Path) -> list[str]:
    try:
        return read_lines(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); get the annotations again") from error


def _labelled(path: Path) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(_lines(path), 1):
        file, field = split_last(line)
        label = whole_number(field)
        if not file or label is None or label >= len(CLASS_NAMES):
            raise UsageError(
                f"{path}, line {number}: {line[:200]!r} is not an image's path and a label 0…{len(CLASS_NAMES) - 1}; "
                "correct it, or get the annotations again"
            )
        yield file, label


def _keys(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(_lines(path), 1):
        if not (key := line.strip(' \t",;')):
            raise UsageError(f"{path}, line {number} is empty, it must be an image's path; get the annotations again")
        yield number, key


def _labels(path: Path, wanted: set[str]) -> dict[str, int]:
    labels: dict[str, int] = {}
    for number, (file, label) in enumerate(_labelled(path), 1):
        if file in wanted and labels.setdefault(file, label) != label:
            raise UsageError(f"{path}, line {number}: {file} has label {label}, and {labels[file]} before; choose one")
    return labels


def _read(data_dir: str | Path | None) -> tuple[dict[str, list[Path]], dict[str, np.ndarray], str]:
    """Files and labels by the name of the list; a fingerprint of the lists, whichever way they are written."""
    root = find_clothing1m(data_dir)
    files, labels, digest = {}, {}, hashlib.sha256()
    for name in LISTS:
        paths, labels[name] = read_list(root, name)
        files[name] = [root / path for path in paths]
        refuse_files([str(file) for file in files[name] if not file.is_file()], f"of {name}.txt are missing")
        lines = (f"{path} {label}\n" for path, label in zip(paths, labels[name], strict=True))
        digest.update("".join(lines).encode())
    return files, labels, digest.hexdigest()


def describe_clothing1m(data_dir: str | Path | None = None) -> str:
    """Fingerprint of the lists; a million images are not hashed before a run, and only CHECKED of them opened.

    Raises: UsageError for a line that is none, a file that is missing, an image of those that cannot be read.
    """
    files, _, fingerprint = _read(data_dir)
    every = [path for paths in files.values() for path in paths]
    chosen = np.random.default_rng(0).permutation(len(every))[:CHECKED]
    read_images([every[place] for place in chosen], "opening some", lambda path: decode(path).shape)
    return fingerprint


def load_clothing1m(data_dir: str | Path | None, norm: str) -> Data:
    """Lists of files; images are read during training. Raises: UsageError."""
    files, labels, fingerprint = _read(data_dir)
    (train, val, test), (given, val_labels, test_labels) = files.values(), labels.values()
    mean, std = normalisation("clothing1m", norm, np.empty((0, 1, 1, 3), np.uint8))
    return Data(
        train=train,
        given=given,
        is_noisy=np.zeros(len(train), bool),
        knows_noise=False,
        test_images={"test": test, "validation": val},
        tests={"test": test_labels, "validation": val_labels},
        class_names=CLASS_NAMES,
        mean=mean,
        std=std,
        name="clothing1m",
        version=f"{len(train)} + {len(val)} + {len(test)} images",
        fingerprint=fingerprint,
    )
