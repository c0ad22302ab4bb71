"""Folders in the layout of the official CIFAR archives, with made-up images, and named as what they are."""

import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_CLASSES = {"cifar10": 10, "cifar100": 100}
_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}


def _python2(value: object) -> bytes:
    """The opcodes with which Python 2 pickled `value` (protocol 2): its strings are bytes, its arrays numpy 1's."""
    if value is None or value is False:
        return pickle.NONE if value is None else pickle.NEWFALSE
    if isinstance(value, int):
        return pickle.BININT + struct.pack("<i", value)
    if isinstance(value, bytes):
        length = len(value)
        head = (
            pickle.SHORT_BINSTRING + bytes([length]) if length < 256 else pickle.BINSTRING + struct.pack("<i", length)
        )
        return head + value
    if isinstance(value, tuple):
        return pickle.MARK + b"".join(map(_python2, value)) + pickle.TUPLE
    if isinstance(value, list):
        return pickle.EMPTY_LIST + pickle.MARK + b"".join(map(_python2, value)) + pickle.APPENDS
    if isinstance(value, dict):
        pairs = b"".join(_python2(key) + _python2(content) for key, content in value.items())
        return pickle.EMPTY_DICT + pickle.MARK + pairs + pickle.SETITEMS
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        dtype = (
            _name("numpy", "dtype")
            + _python2((b"u1", 0, 1))
            + pickle.REDUCE
            + _python2((3, b"|", None, None, None, -1, -1, 0))
            + pickle.BUILD
        )
        empty = _name("numpy", "ndarray") + _python2((0,)) + _python2(b"b") + pickle.TUPLE3
        state = _python2(1) + _python2(value.shape) + dtype + _python2(False) + _python2(value.tobytes())
        return (
            _name("numpy.core.multiarray", "_reconstruct")
            + empty
            + pickle.REDUCE
            + pickle.MARK
            + state
            + pickle.TUPLE
            + pickle.BUILD
        )
    raise TypeError(f"no CIFAR batch holds a {type(value).__name__}")


def _name(module: str, attribute: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()


def write_pickle(path: Path, value: object) -> None:
    path.write_bytes(pickle.PROTO + b"\x02" + _python2(value) + pickle.STOP)


def _images(labels: np.ndarray, patterns: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """uint8 [n, 3072], planes R, G, B: the class's coarse pattern under noise, so that it can be learnt."""
    coarse = patterns[labels] + generator.normal(0, 25, size=(len(labels), 3, 4, 4))
    return np.clip(coarse.repeat(8, axis=2).repeat(8, axis=3), 0, 255).astype(np.uint8).reshape(len(labels), -1)


def write_cifar(
    folder: Path | str,
    name: str = "cifar10",
    train: int | Sequence[int] = 1000,
    test: int = 200,
    seed: int = 0,
    label: str | None = None,
) -> Path:
    """Writes `folder`/cifar-10-batches-py or `folder`/cifar-100-python and returns it.

    train: the number of training images, or for cifar10 the sizes of the five batches. Classes are balanced as far as
    the numbers allow, in random order. label: the content of the file NAME (default `<name>-standin`).
    """
    generator, classes = np.random.default_rng(seed), _CLASSES[name]
    patterns = generator.uniform(30, 225, size=(classes, 3, 4, 4))
    target = Path(folder) / _FOLDERS[name]
    target.mkdir(parents=True, exist_ok=True)
    (target / "NAME").write_text(f"{label or f'{name}-standin'}\n", encoding="utf-8")
    if isinstance(train, int):
        parts = 5 if name == "cifar10" else 1
        train = [len(part) for part in np.array_split(np.arange(train), parts)]
    files = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"] if name == "cifar10" else ["train", "test"]
    train_labels = generator.permutation(np.arange(sum(train)) % classes)
    test_labels = generator.permutation(np.arange(test) % classes)
    pieces = [*np.split(train_labels, np.cumsum(train)[:-1]), test_labels]
    for file, labels in zip(files, pieces, strict=True):
        batch: dict[bytes, object] = {
            b"batch_label": file.encode(),
            b"data": _images(labels, patterns, generator),
            b"filenames": [f"{file}_{i:05d}.png".encode() for i in range(len(labels))],
        }
        if name == "cifar10":
            batch[b"labels"] = labels.tolist()
        else:
            batch |= {b"fine_labels": labels.tolist(), b"coarse_labels": (labels // 5).tolist()}
        write_pickle(target / file, batch)
    names = [f"class{i:02d}".encode() for i in range(classes)]
    if name == "cifar10":
        write_pickle(
            target / "batches.meta", {b"label_names": names, b"num_cases_per_batch": train[0], b"num_vis": 3072}
        )
    else:
        coarse = [f"group{i:02d}".encode() for i in range(20)]
        write_pickle(target / "meta", {b"fine_label_names": names, b"coarse_label_names": coarse})
    return target
