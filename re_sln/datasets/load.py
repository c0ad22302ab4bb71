"""Reads the data set of a run and gives out its labels, wrong ones among them."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from data.cifar import describe_cifar, load_cifar
from data.dataset import ImageDataset
from data.digits import load_digits
from re_sln.datasets.training_set import Data, limited
from re_sln.images.normalisation import normalisation
from re_sln.noise.labels import noisy_labels
from re_sln.noise.noise_request import existing_file
from re_sln.settings.config import Config


def describe(config: Config) -> tuple[str, str]:
    """(name, fingerprint) of the data; its files are read, and the file of noisy labels where there is one.

    Raises: common.errors.DataError, UsageError.
    """
    flags = config.flags
    if flags.dataset_name == "animal-10n":
        from re_sln.datasets.animal10n import describe_animal10n

        return "animal-10n", describe_animal10n(flags.data_dir)
    if flags.dataset_name == "clothing1m":
        from re_sln.datasets.clothing1m import describe_clothing1m

        return "clothing1m", describe_clothing1m(flags.data_dir)
    if config.noise and existing_file(config.noise):
        data = load(config)
        return data.name, data.fingerprint
    if flags.dataset_name == "digits":
        digits = load_digits(flags.image_size)
        return digits.name, digits.fingerprint
    name, _, mark = describe_cifar(flags.dataset_name, flags.data_dir, flags.allow_unverified)
    return name, mark


def load(config: Config, mean_softmax: np.ndarray | None = None) -> Data:
    """The data of a run; mean_softmax: see `re_sln.noise.labels.noisy_labels`.

    Raises: common.errors.DataError, UsageError.
    """
    flags = config.flags
    if flags.dataset_name == "animal-10n":
        from re_sln.datasets.animal10n import load_animal10n

        return limited(load_animal10n(flags.data_dir, flags.norm), flags.limit_train_examples)
    if flags.dataset_name == "clothing1m":
        from re_sln.datasets.clothing1m import load_clothing1m

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


def with_noise(clean: Data, dataset: ImageDataset, config: Config, mean_softmax: np.ndarray | None) -> Data:
    """The data with the wrong labels (openset: the wrong images) of the run's noise."""
    if config.noise is None:
        return clean
    noise = noisy_labels(config.noise, dataset, mean_softmax)
    logging.info("noise: %.4f of the labels are wrong (%s)", noise.is_noisy.mean(), noise.path)
    return replace(
        clean,
        train=clean.train if noise.images is None else noise.images,
        given=noise.given,
        is_noisy=noise.is_noisy,
        noise_sha256=noise.sha256,
    )
