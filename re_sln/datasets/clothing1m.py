"""Clothing1M: a million shop photographs in 14 classes, labelled by the words around them; clean test images."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.paths import data_dir as default_data_dir
from re_sln.datasets.image_folder import refuse_files
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


def find_clothing1m(data_dir: str | Path | None = None) -> Path:
    """The folder that holds images/ and annotations/. Raises: UsageError, saying how to get them."""
    root = default_data_dir(data_dir)
    for folder in (root / "clothing1m", root):
        if all((folder / "annotations" / f"{name}.txt").is_file() for name in LISTS):
            return folder
    raise UsageError(
        f"Clothing1M is not here: no annotations/{{{','.join(LISTS)}}}.txt in {root / 'clothing1m'}. Ask its authors "
        "(https://github.com/Cysu/noisy_label) and put images/ and annotations/ there, or say in $DATA_DIR where it is."
    )


def read_list(root: Path, name: str) -> tuple[list[Path], np.ndarray]:
    """Files and labels, int64 in 0…13, of one list. Raises: UsageError, naming line or files."""
    path = root / "annotations" / f"{name}.txt"
    files, labels = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        file, _, label = line.strip().rpartition(" ")
        if not file or not label.isdigit() or int(label) >= len(CLASS_NAMES):
            raise UsageError(f"{path}, line {number}: {line!r} is not an image's path and a label 0…13")
        files.append(root / file)
        labels.append(int(label))
    if not files:
        raise UsageError(f"{path} is empty; get the annotations again")
    refuse_files([str(file) for file in files if not file.is_file()], f"of {path.name} are missing")
    return files, np.array(labels, np.int64)


def describe_clothing1m(data_dir: str | Path | None = None) -> str:
    """Fingerprint of the lists; a million images are not hashed before every run."""
    root = find_clothing1m(data_dir)
    digest = hashlib.sha256()
    for name in LISTS:
        digest.update((root / "annotations" / f"{name}.txt").read_bytes())
    return digest.hexdigest()


def load_clothing1m(data_dir: str | Path | None, norm: str) -> Data:
    """Lists of files; images are read while training goes on. Raises: UsageError."""
    root = find_clothing1m(data_dir)
    (train, given), (val, val_labels), (test, test_labels) = (read_list(root, name) for name in LISTS)
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
        fingerprint=describe_clothing1m(data_dir),
    )
