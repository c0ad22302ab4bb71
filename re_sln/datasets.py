"""What a run learns from: images, given labels, which of them are wrong, test sets, mean and std."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from data.cifar import describe_cifar, load_cifar
from data.dataset import ImageDataset
from data.digits import load_digits
from re_sln.config import Config
from re_sln.errors import UsageError
from re_sln.noise import noisy_labels
from re_sln.normalisation import normalisation

Pictures = np.ndarray | Sequence[Path]


@dataclass(frozen=True)
class Data:
    """A training set and its test sets.

    train, test_images[name]: uint8 [N, H, W, 3], or files; given: labels as training sees them, int64 [N]; is_noisy:
    bool [N], all False where nobody knows (knows_noise); true: int64 [N], the labels before the noise, where they are
    known; tests[name]: int64 [n]; augmented_tests: those seen as in training; mean, std: float64 [3].
    """

    train: Pictures
    given: np.ndarray
    is_noisy: np.ndarray
    knows_noise: bool
    test_images: dict[str, Pictures]
    tests: dict[str, np.ndarray]
    class_names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    name: str
    version: str
    fingerprint: str
    noise_sha256: str | None = None
    true: np.ndarray | None = None
    augmented_tests: frozenset[str] = field(default_factory=frozenset)

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def described(self) -> dict[str, str]:
        """What result.json says about the data."""
        return {"name": self.name, "version": self.version, "fingerprint": self.fingerprint}


def describe(config: Config) -> tuple[str, str]:
    """(name, fingerprint) of the data, its files verified. Raises: data.errors.DataError, UsageError."""
    flags = config.flags
    if flags.dataset_name in ("cifar10", "cifar100"):
        name, _, mark = describe_cifar(flags.dataset_name, flags.data_dir, flags.allow_unverified)
        return name, mark
    if flags.dataset_name == "digits":
        digits = load_digits(flags.image_size)
        return digits.name, digits.fingerprint
    if flags.dataset_name == "animal-10n":
        from re_sln.animal10n import describe_animal10n

        return "animal-10n", describe_animal10n(flags.data_dir)
    from re_sln.clothing1m import describe_clothing1m

    return "clothing1m", describe_clothing1m(flags.data_dir)


def load(config: Config, mean_softmax: Callable[[Data], np.ndarray]) -> Data:
    """The data of a run; mean_softmax makes float [N, C] for custom instance-dependent noise from the clean data.

    Raises: data.errors.DataError, UsageError.
    """
    flags = config.flags
    if flags.dataset_name == "animal-10n":
        from re_sln.animal10n import load_animal10n

        return limited(load_animal10n(flags.data_dir, flags.norm), flags.limit_train_examples)
    if flags.dataset_name == "clothing1m":
        from re_sln.clothing1m import load_clothing1m

        return limited(load_clothing1m(flags.data_dir, flags.norm), flags.limit_train_examples)
    if flags.dataset_name == "digits":
        dataset = load_digits(flags.image_size)
    else:
        dataset = load_cifar(flags.dataset_name, flags.data_dir, flags.allow_unverified)
    clean = clean_data(dataset, *normalisation(flags.dataset_name, flags.norm, dataset.train_images))
    return limited(with_noise(clean, dataset, config, mean_softmax), flags.limit_train_examples)


def clean_data(dataset: ImageDataset, mean: np.ndarray, std: np.ndarray) -> Data:
    """The data set with the labels that it has."""
    return Data(
        train=dataset.train_images,
        given=dataset.train_labels,
        is_noisy=np.zeros(len(dataset.train_labels), bool),
        knows_noise=True,
        test_images={"test": dataset.test_images},
        tests={"test": dataset.test_labels},
        class_names=dataset.class_names,
        mean=mean,
        std=std,
        name=dataset.name,
        version=dataset.version,
        fingerprint=dataset.fingerprint,
        true=dataset.train_labels,
    )


def with_noise(clean: Data, dataset: ImageDataset, config: Config, mean_softmax: Callable[[Data], np.ndarray]) -> Data:
    """The data with the wrong labels (openset: the wrong images) of the run's noise."""
    if config.noise is None:
        return clean
    noise = noisy_labels(config.noise, dataset, lambda: mean_softmax(clean))
    logging.info("noise: %.4f of the labels are wrong (%s)", noise.is_noisy.mean(), noise.path)
    return replace(
        clean,
        train=clean.train if noise.images is None else noise.images,
        given=noise.given,
        is_noisy=noise.is_noisy,
        noise_sha256=noise.sha256,
    )


def limited(data: Data, count: int) -> Data:
    """Only the first `count` training examples, 0: all. Raises: UsageError where there are fewer."""
    if count == 0:
        return data
    if count > len(data.given):
        raise UsageError(f"--limit_train_examples={count}: there are {len(data.given)}; 0 takes them all")
    return part(data, np.arange(count))


def part(data: Data, chosen: np.ndarray) -> Data:
    """Only the training examples `chosen`, int64 [n], with all that is known about them."""
    images = data.train
    return replace(
        data,
        train=images[chosen] if isinstance(images, np.ndarray) else [images[example] for example in chosen],
        given=data.given[chosen],
        is_noisy=data.is_noisy[chosen],
        true=None if data.true is None else data.true[chosen],
    )
