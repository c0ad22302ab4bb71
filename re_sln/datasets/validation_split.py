"""Holds out a part of the training set, noisy labels and all: σ is chosen without a look at the test set."""

from __future__ import annotations

import dataclasses

import numpy as np
from sklearn.model_selection import train_test_split

from common.errors import UsageError
from re_sln.datasets.training_set import Data, part


def validation_split(given: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(trained on, held out): int64, rising, together each example once; `share` of every given class is held out.

    given: int64 [N]; share within (0, 1). Raises: UsageError where the set is too small to be split so.
    """
    try:
        train, validation = train_test_split(np.arange(len(given)), test_size=share, stratify=given, random_state=seed)
    except ValueError as error:
        raise UsageError(f"--val_size={share}: {len(given)} examples cannot be split by class: {error}") from error
    return np.sort(train), np.sort(validation)


def hold_out(data: Data, share: float, seed: int, as_in_training: bool) -> Data:
    """The data with a part of its training set, and the labels given there, in the place of its test set.

    as_in_training: the held-out images are cropped and flipped too.
    """
    train, validation = validation_split(data.given, share, seed)
    held_out = part(data, validation)
    return dataclasses.replace(
        part(data, train),
        test_images={"test": held_out.train},
        tests={"test": held_out.given},
        augmented_tests=frozenset({"test"} if as_in_training else ()),
    )
