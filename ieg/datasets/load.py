"""The data set that a --dataset name means: found and verified first, then read."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

from common.errors import UsageError
from data.cifar import describe_cifar, load_cifar
from data.dataset import ImageDataset
from data.digits import load_digits
from ieg.datasets import long_tail_files, webvision
from ieg.datasets.long_tail import long_tailed
from ieg.settings.config import USES_PROBES, resolve_image_size
from ieg.settings.dataset_name import SIZES, DatasetName, parse_dataset_name
from ieg.settings.flags import Flags


@dataclass(frozen=True)
class Described:
    """What is known of a data set before its images are read; num_images where the name does not tell it."""

    name: str
    fingerprint: str
    num_images: int | None = None


def describe(flags: Flags) -> Described:
    """Verifies the files. Raises: common.errors.DataError, its message saying how to get or allow them."""
    name = parse_dataset_name(flags.dataset)
    if name.is_webvision:
        uses_probes = flags.method in USES_PROBES
        data = webvision.load(flags, uses_probes, name)
        webvision.check_images(flags, uses_probes, name, data)
        return Described(data.name, data.fingerprint, len(data.train.labels))
    files = long_tail_files.find(name, flags)
    if files:
        whole = long_tail_files.load(name, files)
        return Described(whole.name, whole.fingerprint)
    base, fingerprint = describe_base(name, flags)
    return Described(*long_tail_identity(name, base, fingerprint))


def load(flags: Flags) -> ImageDataset:
    """The data set, in memory. Raises: common.errors.DataError."""
    name = parse_dataset_name(flags.dataset)
    files = long_tail_files.find(name, flags)
    if files:
        return long_tail_files.load(name, files)
    whole = (
        load_digits(resolve_image_size(flags))
        if name.base == "digits"
        else load_cifar(name.base, flags.dataset_dir, flags.allow_unverified)
    )
    found, expected = len(whole.train_labels), SIZES[name.base][0]
    if name.counts is None and found != expected:
        raise UsageError(
            f"--dataset={flags.dataset}: there are {found} training images instead of {expected:,}, by which epochs, "
            "schedules and probes are counted: bring the whole set"
        )
    return whole if name.counts is None else cut(whole, name)


def describe_base(name: DatasetName, flags: Flags) -> tuple[str, str]:
    """Name and fingerprint of the balanced set."""
    if name.base == "digits":
        digits = load_digits(resolve_image_size(flags))
        return digits.name, digits.fingerprint
    cifar, _, fingerprint = describe_cifar(name.base, flags.dataset_dir, flags.allow_unverified)
    return cifar, fingerprint


def cut(whole: ImageDataset, name: DatasetName) -> ImageDataset:
    """The long-tailed part of a balanced set; the test set stays whole."""
    assert name.counts is not None
    kept = long_tailed(whole.train_labels, name.counts)
    cut_name, fingerprint = long_tail_identity(name, whole.name, whole.fingerprint)
    return dataclasses.replace(
        whole,
        train_images=whole.train_images[kept],
        train_labels=whole.train_labels[kept],
        name=cut_name,
        fingerprint=fingerprint,
    )


def long_tail_identity(name: DatasetName, whole: str, fingerprint: str) -> tuple[str, str]:
    """Name and fingerprint of what `name` keeps of the set called `whole`."""
    if name.imbalance is None:
        return whole, fingerprint
    mark = hashlib.sha256(f"{fingerprint} first {name.counts}".encode()).hexdigest()
    return f"{whole}_imbal_{name.imbalance:g}", mark
