"""Long-tailed CIFAR from the files of class-balanced loss (arXiv 1901.05555), checked against what their name says.

`<dataset_dir>/imbalance/cifar-{10,100}-data-im-{F}/{train,eval}.tfrecords`, F = 1: `cifar-{10,100}-data`. An example is
`image`, 3072 bytes in the order channel, row, column, and `label`, an int64.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from common.errors import DataError, UsageError
from common.foreign_text import one_line
from common.paths import data_dir
from data.checksums import fingerprint, hash_file
from data.dataset import ImageDataset
from ieg.settings.dataset_name import DatasetName
from ieg.settings.flags import Flags

FILES = ("train.tfrecords", "eval.tfrecords")
PIXELS = 3 * 32 * 32
EVAL_SIZE = 10000
LARGEST_SET = 100  # classes
GET_THEM = "`python -m data list cifar-longtail` says how to get them; --long_tail_from=cifar builds the set from CIFAR"


def folder_name(name: DatasetName) -> str:
    """The name of the folder that holds these two files."""
    stem = f"cifar-{name.num_classes}-data"
    return stem if name.imbalance == 1 else f"{stem}-im-{name.imbalance:g}"


def find(name: DatasetName, flags: Flags) -> Path | None:
    """The folder of a long-tailed set; None where it is to be built, or is not long-tailed CIFAR.

    Raises: UsageError where --long_tail_from=tfrecords asks for missing files.
    """
    if name.imbalance is None or name.base == "digits" or flags.long_tail_from == "cifar":
        return None
    base = data_dir(flags.dataset_dir) / "imbalance"
    for parent in (base, base / "imbalance"):  # the authors' own instructions nest them
        if (parent / folder_name(name)).is_dir():
            return parent / folder_name(name)
    if flags.long_tail_from == "auto":
        return None
    others = sorted(path.name for path in base.glob("**/cifar-*-data*"))
    raise UsageError(
        f"--dataset={flags.dataset}: there is no folder {base / folder_name(name)}; {base} holds "
        f"{', '.join(others) or 'none of these files'}. {GET_THEM}"
    )


def load(name: DatasetName, folder: Path) -> ImageDataset:
    """Both files, in their order. Raises: DataError, UsageError."""
    images, labels = read(folder / FILES[0])
    check_counts(name, folder, labels)
    test_images, test_labels = read(folder / FILES[1])
    if len(test_labels) != EVAL_SIZE or not 0 <= test_labels.min() <= test_labels.max() < name.num_classes:
        raise DataError(
            f"{folder / FILES[1]} holds {len(test_labels)} images with labels up to {test_labels.max()}; the test set "
            f"has {EVAL_SIZE} of {name.num_classes} classes. {GET_THEM}"
        )
    own = f"{name.base}_imbal_{name.imbalance:g}_tfrecords"
    mark = fingerprint({file: hash_file(folder / file).sha256 for file in FILES})
    names = tuple(str(k) for k in range(name.num_classes))
    return ImageDataset(
        images, labels, test_images, test_labels, names, own, "unverified: no checksum is published", mark
    )


def check_counts(name: DatasetName, folder: Path, labels: np.ndarray) -> None:
    """Raises: UsageError where the classes are not as large as the factor says."""
    counts = np.bincount(labels, minlength=name.num_classes).tolist()
    if counts == name.counts:
        return
    # The factor that these counts do have, which is what went wrong where files were put into another's folder.
    factor = counts[-1] / counts[0] if len(counts) == name.num_classes and counts[0] else 0
    raise UsageError(
        f"{folder / FILES[0]} holds {sum(counts)} images, the classes {counts[:3]}…{counts[-2:]} "
        f"(factor {factor:.3g}), but {name.base}_imbal_{name.imbalance:g} has {name.num_train}, "
        f"{(name.counts or [])[:3]}…: these are files of another factor or damaged. {GET_THEM}"
    )


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N,32,32,3] and labels int64 [N] of one file. Raises: DataError for one that cannot be read."""
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }
    images, labels = [], []
    try:
        for batch in tf.data.TFRecordDataset(str(path)).batch(1000):
            examples = tf.io.parse_example(batch, features)
            images.append(tf.io.decode_raw(examples["image"], tf.uint8, fixed_length=None).numpy())
            labels.append(examples["label"].numpy())
    except (tf.errors.OpError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({one_line(error)}). {GET_THEM}") from error
    if not images or any(part.shape[1] != PIXELS for part in images):
        raise DataError(f"{path} holds no images of {PIXELS} bytes. {GET_THEM}")
    given = np.concatenate(labels)
    if not 0 <= given.min() <= given.max() < LARGEST_SET:
        raise DataError(f"{path} holds labels from {given.min()} to {given.max()}. {GET_THEM}")
    pixels = np.concatenate(images).reshape(-1, 3, 32, 32)  # [N,3,32,32]
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), given
