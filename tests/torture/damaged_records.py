"""Damaged TFRecords: those of WebVision's test and trusted images, and those of long-tailed CIFAR."""

from __future__ import annotations

import struct
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from common.errors import UserError
from ieg.datasets import long_tail_files
from ieg.datasets.image_files import read_records
from preprocess.webvision_mini import label_counts
from tests.torture.damaged_images import DAMAGES, SLOW, originals

COUNT = 6


def example(**features: bytes | int) -> bytes:
    """A record's content."""
    found = {}
    for name, value in features.items():
        if isinstance(value, int):
            found[name.replace("__", "/")] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        else:
            found[name.replace("__", "/")] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature=found)).SerializeToString()


def kinds() -> dict[str, tuple[list[bytes], list[Callable[[Path], object]]]]:
    """The records of a file and what reads it, by the kind of file."""
    image = originals(("JPEG",))["JPEG RGB"]
    pixels = np.random.default_rng(0).bytes(3072)
    return {
        "images": (
            [example(image__encoded=image, image__label=k) for k in range(COUNT)],
            [read_records, label_counts],
        ),
        "long-tailed CIFAR": ([example(image=pixels, label=k) for k in range(COUNT)], [long_tail_files.read]),
    }


def write(path: Path, records: list[bytes]) -> None:
    """A TFRecord file, its check sums right."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def campaign(seed: int, count: int, seconds: float) -> dict:
    """Tries `count` damages for `seconds` at most: half of them within a record, whose check sum then agrees."""
    random, end = np.random.default_rng(seed), time.monotonic() + seconds
    counts, failures, files = Counter[str](), [], kinds()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tfrecords"
        for case in range(count):
            if time.monotonic() > end:
                break
            kind = list(files)[int(random.integers(len(files)))]
            records, readers = files[kind]
            damage = DAMAGES[int(random.integers(len(DAMAGES)))]
            other = struct.pack("<q", int(random.integers(-(2**62), 2**62))) * 40
            place = int(random.integers(len(records)))
            if random.random() < 0.5:
                hurt = bytes(damage(random, records[place], other))
                write(path, [*records[:place], hurt, *records[place + 1 :]])
            else:
                write(path, records)
                path.write_bytes(bytes(damage(random, path.read_bytes(), other)))
            for read in readers:
                wrong, begun = "", time.monotonic()
                try:
                    read(path)
                    counts[f"read: {kind}"] += 1
                except UserError as error:
                    counts[f"refused: {kind}"] += 1
                    if path.name not in str(error) or "\n" in str(error) or len(str(error)) > 2000:
                        wrong = f"no sentence with the file's name: {error}"
                except Exception as error:
                    wrong = f"{type(error).__name__}: {error}"
                if time.monotonic() - begun > SLOW:
                    wrong = wrong or f"{time.monotonic() - begun:.0f} s"
                if wrong:
                    failures.append(f"seed {seed}, case {case}, {kind}, {damage.__name__}: {wrong}"[:1000])
            counts["damages"] += 1
    return {"counts": dict(counts), "failures": failures}
