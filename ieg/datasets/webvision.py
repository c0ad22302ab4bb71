"""WebVision mini: what a run needs of it, found and checked before training."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import NAMED, DataError, UnreadableImage, UsageError
from common.paths import data_dir
from common.storage.image_files import image_size
from data.checksums import fingerprint, hash_file
from data.webvision import (
    NUM_CLASSES,
    PREPARE,
    TEST_IMAGES,
    ImageList,
    fingerprint_of,
    imagenet_records,
    list_webvision,
    probe_records,
    webvision_root,
)
from ieg.datasets.image_files import EncodedImages, read_records
from ieg.datasets.split import Split
from ieg.settings.dataset_name import DatasetName
from ieg.settings.flags import Flags

GET_IMAGENET = (
    f"`{PREPARE} --imagenet_path /data/imagenet` makes it from ImageNet, and `python -m data list imagenet` says how "
    "to get that"
)


@dataclass(frozen=True)
class WebVision:
    """Images in files: their lists, and what is known of the whole."""

    train: ImageList
    val: ImageList
    name: str
    version: str
    fingerprint: str


def load(flags: Flags, uses_probes: bool, name: DatasetName) -> WebVision:
    """Lists the images and checks that everything else the flags ask for is there.

    Raises: UsageError or DataError, saying what is missing and how to get it.
    """
    folder = data_dir(flags.dataset_dir)
    train, val = list_webvision(folder)
    check_with_tfds(folder, train, val)
    if flags.use_imagenet_as_eval and not imagenet_records(folder).is_file():
        raise UsageError(
            f"--use_imagenet_as_eval: there is no {imagenet_records(folder)}, the {NUM_CLASSES}-class ImageNet test "
            f"set. {GET_IMAGENET}"
        )
    records = [imagenet_records(folder)] if flags.use_imagenet_as_eval else []
    if uses_probes:
        probes(folder, name)
        records.append(probe_records(folder, name.probes_per_class or 0))
    mark = fingerprint_of(train, val)
    if records:
        mark = fingerprint({"": mark} | {path.name: hash_file(path).sha256 for path in records})
    return WebVision(train, val, "webvision-mini", "no checksum is published", mark)


def check_with_tfds(folder: Path, train: ImageList, val: ImageList) -> None:
    """The tree as ImageFolder of tensorflow_datasets reads it has all these images. Raises: DataError."""
    import tensorflow_datasets as tfds

    try:
        splits = tfds.folder_dataset.ImageFolder(str(webvision_root(folder))).info.splits
    except UnicodeDecodeError:  # it lists no folder with names that are not UTF-8, which are read here
        return
    for images in (train, val):
        counted = splits[images.root.name].num_examples
        if counted < len(images.paths):  # it also counts files of other programs that are not images
            raise DataError(
                f"{images.root}: {len(images.paths)} images are read here, tensorflow_datasets counts {counted}; "
                "unpack it again"
            )


def check_images(flags: Flags, uses_probes: bool, name: DatasetName, data: WebVision) -> None:
    """Reads the header and the last bytes of every image, those in TFRecords too.

    Raises: DataError naming those that are none, or have a side of one pixel; UsageError for damaged TFRecords.
    """
    files: list[tuple[str | bytes, str]] = [(file, file) for file in (*data.train.files(), *data.val.files())]
    folder = data_dir(flags.dataset_dir)
    if uses_probes:
        path = probe_records(folder, name.probes_per_class or 0)
        files += [(image, f"image {k} of {path}") for k, image in enumerate(read_records(path)[0])]
    if flags.use_imagenet_as_eval:
        path = imagenet_records(folder)
        files += [(image, f"image {k} of {path}") for k, image in enumerate(imagenet_images(path)[0])]

    def why(file: tuple[str | bytes, str]) -> str:
        try:
            return f"{file[1]} (a side of one pixel)" if min(image_size(*file)) < 2 else ""
        except UnreadableImage as error:
            return f"{file[1]} ({error.why})"

    with ThreadPoolExecutor() as pool:
        bad = [found for found in pool.map(why, files) if found]
    if bad:
        raise DataError(
            f"{len(bad)} of {len(files)} files cannot be read as images: {', '.join(bad[:NAMED])}"
            f"{', …' if len(bad) > NAMED else ''}; get them again, or move them away"
        )


def imagenet_images(path: Path) -> tuple[list[bytes], np.ndarray]:
    """ImageNet's test images of the 50 classes, encoded, and their labels. Raises: UsageError where it is not whole."""
    images, labels = read_records(path)
    if np.bincount(labels, minlength=NUM_CLASSES).min() == 0:
        raise UsageError(
            f"{path} holds {len(labels)} images, not {TEST_IMAGES} of {NUM_CLASSES} classes: delete it. {GET_IMAGENET}"
        )
    if len(labels) != TEST_IMAGES:
        logging.warning("%s holds %d images, not %d: accuracies are of these", path, len(labels), TEST_IMAGES)
    return images, labels


def probes(folder: Path, name: DatasetName) -> tuple[tuple[bytes, ...], np.ndarray]:
    """Trusted images, encoded, and their labels, interleaved by class 0, 1, …, 49, 0, …

    Raises: UsageError where there are none, or not as many of every class as the name says.
    """
    assert name.probes_per_class is not None
    path = probe_records(folder, name.probes_per_class)
    if not path.is_file():
        raise UsageError(
            f"there is no {path}: l2r and ieg need {name.probes_per_class} trusted images of each class. "
            f"{GET_IMAGENET} (with --probes_per_class {name.probes_per_class})"
        )
    images, labels = read_records(path)
    counts = np.bincount(labels, minlength=NUM_CLASSES).tolist()
    if counts != [name.probes_per_class] * NUM_CLASSES:
        raise UsageError(
            f"{path} holds {len(labels)} images, {min(counts)} to {max(counts)} a class; webvisionmini_"
            f"{name.probes_per_class} has {name.probes_per_class} of each of {NUM_CLASSES} classes: delete it. "
            f"{GET_IMAGENET}"
        )
    order = np.stack([np.flatnonzero(labels == k) for k in range(NUM_CLASSES)], axis=1).ravel()
    return tuple(images[place] for place in order), labels[order]


def make_split(data: WebVision, probe_labels: np.ndarray) -> Split:
    """All training images with the labels they came with; nobody knows which of them are true."""
    labels = np.array(data.train.labels, np.int64)
    every, tests = np.arange(len(labels)), np.arange(len(data.val.labels))
    return Split(every, labels, labels, np.arange(len(probe_labels)), probe_labels, tests)


def test_sets(flags: Flags, data: WebVision, size: int) -> dict[str, EncodedImages]:
    """WebVision's validation images and, with --use_imagenet_as_eval, ImageNet's, by name.

    Raises: UsageError where the ImageNet test set is not whole.
    """
    # DEVIATION: the authors' second release scores ImageNet's images instead of WebVision's, their last one both, but
    # for fsr only; here both are scored, whatever the method.
    sets = {"": EncodedImages({"file": np.array(data.val.files())}, np.array(data.val.labels), size)}
    if flags.use_imagenet_as_eval:
        images, labels = imagenet_images(imagenet_records(data_dir(flags.dataset_dir)))
        sets["imagenet"] = EncodedImages({"encoded": np.array(images, object)}, labels, size)
    return sets
