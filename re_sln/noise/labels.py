"""The noisy labels of a run: the authors' files, or one's own, which are made where they are missing."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.dataset import ImageDataset
from re_sln.noise import noise_files
from re_sln.noise.custom_noise import make_custom
from re_sln.noise.noise_request import (
    NoiseRequest,
    check_request,
    custom_path,
    existing_file,
    unkeyed_path,
)

__all__ = ["NoiseRequest", "NoisyLabels", "check_request", "noisy_labels"]


@dataclass(frozen=True)
class NoisyLabels:
    """What training sees.

    given: int64 [N]; is_noisy: bool [N], True where `given` is wrong or, open-set, the image is foreign; images: uint8
    [N, 32, 32, 3], the whole training array of open-set noise, else None; rules: the rows of the rules file, none for
    the authors' files; path: the file of labels, None for clean labels; sha256: of that file, or "".
    """

    given: np.ndarray
    is_noisy: np.ndarray
    images: np.ndarray | None
    rules: tuple[dict[str, str], ...]
    path: Path | None
    sha256: str


def noisy_labels(request: NoiseRequest, dataset: ImageDataset, mean_softmax: np.ndarray | None = None) -> NoisyLabels:
    """Reads the noisy labels of `dataset`'s training set; makes a custom file that is missing, and logs that it did.

    mean_softmax: float [N, C], the average over its training epochs of a network's softmax on the training set, where
    `needs_predictions`. Two processes may ask at once. Raises: what `check_request` raises, and UsageError for a file
    that is damaged or made for other data, or for `dependent` noise that must be made without `mean_softmax`.
    """
    check_request(request)
    labels = dataset.train_labels
    if request.p == 0:
        return NoisyLabels(labels.copy(), np.zeros(len(labels), dtype=bool), None, (), None, "")
    path = existing_file(request)
    if path is None:
        path = make_custom(request, dataset, mean_softmax)
    elif path == unkeyed_path(request):
        logging.warning(
            "%s does not say which seed and rules it was made with; it is used as it is, for want of %s, which "
            "--make_new_custom_noise makes",
            *(path, custom_path(request).name),
        )
    open_set = request.mode == "openset"
    noisy, sha256 = noise_files.read_labels(path, labels, dataset.num_classes, open_set)
    rules = noise_files.read_rules(path)
    if open_set:
        images = noise_files.read_images(path, dataset.train_images, noisy)
        return NoisyLabels(labels.copy(), noisy, images, rules, path, sha256)
    return NoisyLabels(noisy, noisy != labels, None, rules, path, sha256)
