"""CIFAR-10 as JPEG files in one compressed file of 18 MB, and back into the layout of the official archive.

Its name is `cifar10-jpeg`: no accuracy on it is one on CIFAR-10.
"""

from __future__ import annotations

import io
import lzma
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from common.errors import DataError
from common.storage.files import atomic_write
from data.dataset import ImageDataset

IMAGES, INDEX, NAME = "images.bin.xz", "index.npz", "cifar10-jpeg"
FOLDER, BATCHES = "cifar-10-batches-py", 5
QUALITY = 75


def encode(dataset: ImageDataset, folder: Path) -> None:
    """Writes IMAGES and INDEX: training images, then test images, in the order of the data set."""
    files = []
    for image in (*dataset.train_images, *dataset.test_images):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=QUALITY)
        files.append(stream.getvalue())
    index = io.BytesIO()
    np.savez_compressed(
        index,
        sizes=np.array([len(file) for file in files], np.uint32),
        train_labels=dataset.train_labels.astype(np.uint8),
        test_labels=dataset.test_labels.astype(np.uint8),
        class_names=np.array(dataset.class_names),
    )
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / IMAGES, lzma.compress(b"".join(files)))
    atomic_write(folder / INDEX, index.getvalue())


def decode(source: Path, folder: Path) -> None:
    """Writes FOLDER below `folder`, its file NAME last: where that is, the rest is whole. Raises: DataError."""
    out = folder / FOLDER
    try:
        with np.load(source / INDEX) as index:
            parts = {name: index[name] for name in index.files}
        content = lzma.decompress((source / IMAGES).read_bytes())
        ends = np.cumsum(parts["sizes"].astype(np.int64))
        pixels = [_planes(content[end - size : end]) for size, end in zip(parts["sizes"].tolist(), ends, strict=True)]
    except (OSError, ValueError, KeyError, lzma.LZMAError) as error:
        raise DataError(f"{source} does not hold CIFAR-10 as JPEG files ({error}): pack it again") from error
    count = len(parts["train_labels"])
    sizes = [len(part) for part in np.array_split(np.arange(count), BATCHES)]
    names = [f"data_batch_{number}" for number in range(1, BATCHES + 1)] + ["test_batch"]
    labels = [*parts["train_labels"].tolist(), *parts["test_labels"].tolist()]
    out.mkdir(parents=True, exist_ok=True)
    start = 0
    for name, size in zip(names, [*sizes, len(labels) - count], strict=True):
        batch = {b"labels": labels[start : start + size], b"data": np.stack(pixels[start : start + size])}
        atomic_write(out / name, pickle.dumps(batch, protocol=4))
        start += size
    known = parts.get("class_names", np.array(CLASSES))
    meta = {b"label_names": [str(name).encode() for name in known]}
    atomic_write(out / "batches.meta", pickle.dumps(meta, protocol=4))
    atomic_write(out / "NAME", f"{NAME}\n")


CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def _planes(file: bytes) -> np.ndarray:
    """A JPEG file as uint8 [3072]: the planes red, green, blue."""
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1).reshape(-1)
