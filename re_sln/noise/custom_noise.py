"""Makes the files of custom noise."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.random_streams import generator
from data.cifar import load_cifar
from data.dataset import ImageDataset
from data.photograph_patches import photograph_patches
from re_sln.former_names import RERUN
from re_sln.noise.dependent_noise import flip_most_doubtful
from re_sln.noise.noise_files import write_labels
from re_sln.noise.noise_request import FOREIGN, NoiseRequest, custom_path
from re_sln.noise.noise_rules import (
    NoiseRule,
    asymmetric_rules,
    flip_as_the_rerun,
    flip_independently,
    observed_rules,
    symmetric_rules,
)
from re_sln.noise.openset_noise import choose_places, choose_places_as_the_rerun, replace_images


def make_custom(request: NoiseRequest, dataset: ImageDataset, mean_softmax: np.ndarray | None) -> Path:
    """Makes the file that `request` names, from the training set of `dataset`, logs that, and returns its path.

    mean_softmax: see `labels.noisy_labels`. Raises: UsageError where it is needed and None, or where the file
    cannot be written; DataError where CIFAR-100 is needed and missing.
    """
    path, labels, images = custom_path(request), dataset.train_labels, None
    if request.mode == "openset":
        images, noisy = _with_foreign_images(request, dataset.train_images)
        rules: list[dict[str, object]] = [
            {"src": request.dataset_name, "dst": FOREIGN[request.dataset_name], "p": request.p}
        ]
    elif request.mode == "dependent":
        noisy = flip_most_doubtful(labels, _given(path, mean_softmax), request.p)
        rules = observed_rules(labels, noisy)
    else:
        chosen = _rules(request, dataset.num_classes)
        noisy = _flipped(request, labels, chosen, dataset.num_classes)
        rules = [{"src": rule.src, "dsts": list(rule.dsts), "p": rule.p} for rule in chosen]
    # Another process may have been faster, with another network's predictions: the existing file is the noise.
    if request.make_new or not path.is_file():
        write_labels(path, labels, noisy, rules, images)
        _announce(request, path, noisy if request.mode == "openset" else noisy != labels)
    return path


def _announce(request: NoiseRequest, path: Path, is_noisy: np.ndarray) -> None:
    how = f"seed {request.seed}, --custom_rng={request.custom_rng}"
    if request.mode == "asym":
        how += f", --asym_rules={request.asym_rules}"
    count, total = int(is_noisy.sum()), len(is_noisy)
    logging.info("made %s: %d of %d examples are noisy (%.4f); %s", path, count, total, count / total, how)


def _given(path: Path, mean_softmax: np.ndarray | None) -> np.ndarray:
    if mean_softmax is None:
        raise UsageError(
            f"{path} is missing: noise that depends on the image is made from the predictions of a network, which "
            "train_cifar.py trains first; run that with the same --p, --seed and --custom_noise"
        )
    return mean_softmax


def _rules(request: NoiseRequest, num_classes: int) -> tuple[NoiseRule, ...]:
    if request.mode == "sym":
        return symmetric_rules(num_classes, request.p)
    return asymmetric_rules(request.dataset_name, request.p, request.asym_rules)


def _flipped(request: NoiseRequest, labels: np.ndarray, rules: tuple[NoiseRule, ...], num_classes: int) -> np.ndarray:
    if request.custom_rng == RERUN:
        return flip_as_the_rerun(labels, rules, num_classes, request.seed)
    return flip_independently(labels, rules, generator(request.seed, f"re_sln {request.mode} noise"))


def _with_foreign_images(request: NoiseRequest, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Training array uint8 [N, S, S, 3] and bool [N], which images in it are foreign."""
    if request.dataset_name == "digits":
        foreign = photograph_patches(images.shape[1])
    else:
        foreign = load_cifar(FOREIGN[request.dataset_name], request.data_dir, request.allow_unverified).train_images
    choose = choose_places_as_the_rerun if request.custom_rng == RERUN else choose_places
    return replace_images(images, foreign, *choose(len(images), len(foreign), request.p, request.seed))
