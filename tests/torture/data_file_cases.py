"""Lists, pickles and TFRecords of data sets, each with what reads it; see damaged_files.py."""

from __future__ import annotations

import io
import pickle
import tarfile
from functools import partial
from pathlib import Path

import numpy as np
from scipy.io import savemat

from common.storage.text_files import name_in
from data.safe_pickle import load_batch
from preprocess.imagenet_source import DEVKIT, GROUND_TRUTH, validation_classes
from tests.torture.damaged_images import originals
from tests.torture.file_cases import Case, put

COUNT = 20


def numpy_cases(folder: Path) -> dict[str, Case]:
    """CIFAR batches of old and new pickle protocols, ImageNet's devkit, the name of a data set."""
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 60), dtype=np.uint8)
    batch = {"data": pixels, "labels": np.arange(COUNT), "names": ["a", "b"], b"numbers": [1, 2]}
    found = {
        f"CIFAR batch, protocol {protocol}": put(folder / f"batch_{protocol}", pickle.dumps(batch, protocol))
        for protocol in (2, 5)
    }
    synsets = np.array([(1, "n01"), (2, "n02")], dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O")])
    savemat(table := io.BytesIO(), {"synsets": synsets})
    with tarfile.open(folder / DEVKIT, "w:gz") as archive:
        for name, content in (("meta.mat", table.getvalue()), (GROUND_TRUTH, b"2\n1\n2\n")):
            member = tarfile.TarInfo(f"kit/data/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return {
        **{name: Case(path, partial(load_batch, path), binary=True) for name, path in found.items()},
        "devkit": Case(folder / DEVKIT, lambda: validation_classes(folder / DEVKIT), binary=True),
        "NAME": Case(put(folder / "NAME", "cifar10-jpeg\n"), lambda: name_in(folder)),
    }


def clothing_cases(folder: Path) -> dict[str, Case]:
    """Clothing1M's lists, as the authors' program has them and as they are handed out."""
    from re_sln.datasets.clothing1m import LISTS, read_list

    lines = [f"images/{k}/ü {k}.jpg {k % 14}\n" for k in range(COUNT)]
    keys = "".join(line.rpartition(" ")[0] + "\n" for line in lines)
    plain, split = folder / "plain" / "annotations", folder / "split" / "annotations"
    for name in LISTS:
        put(plain / f"{name}.txt", "".join(lines))
        put(split / f"{name}_key_list.txt", keys)
    for origin in ("noisy", "clean"):
        put(split / f"{origin}_label_kv.txt", "".join(lines))
    return {
        "clean_val.txt": Case(plain / "clean_val.txt", lambda: read_list(plain.parent, "clean_val")),
        "clean_val_key_list.txt": Case(split / "clean_val_key_list.txt", lambda: read_list(split.parent, "clean_val")),
        "noisy_label_kv.txt": Case(split / "noisy_label_kv.txt", lambda: read_list(split.parent, "noisy_train")),
    }


def record_cases(folder: Path) -> dict[str, Case]:
    """TFRecords of encoded images and of CIFAR: a damaged file, and a damaged record whose check sum agrees."""
    import tensorflow as tf

    from ieg.datasets import long_tail_files
    from ieg.datasets.image_files import read_records
    from preprocess.webvision_mini import label_counts

    def example(label: int, **content: bytes) -> bytes:
        features = {name.replace("_", "/"): tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                    for name, value in content.items()}  # fmt: skip
        key = "image/label" if "image/encoded" in features else "label"
        features[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    def write(path: Path, records: list[bytes]) -> Path:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
        return path

    image, pixels = originals(("JPEG",))["JPEG RGB"], np.random.default_rng(0).bytes(3072)
    found: dict[str, Case] = {}
    for kind, record, readers in (
        ("images", [example(k, image_encoded=image) for k in range(3)], (read_records, label_counts)),
        ("CIFAR", [example(k, image=pixels) for k in range(3)], (long_tail_files.read,)),
    ):
        for read in readers:
            whole = write(folder / f"{kind} {read.__name__}.tfrecords", record)
            content = put(folder / f"{kind}-{read.__name__}.part", record[1])

            def of_part(read=read, content=content, record=record):
                return read(write(content.with_suffix(""), [record[0], content.read_bytes(), record[2]]))

            found[f"TFRecords of {kind}, {read.__name__}"] = Case(whole, partial(read, whole), binary=True)
            found[f"a TFRecord of {kind}, {read.__name__}"] = Case(content, of_part, binary=True)
    return found
