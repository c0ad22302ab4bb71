"""The embedded data set: 1,797 real handwritten digits, which scikit-learn carries."""

import gzip
import hashlib
import importlib.util
from pathlib import Path

import numpy as np

from common.errors import DataError, UsageError
from data.dataset import ImageDataset

_TEST_SIZE = 360
_SPLIT_SEED = 20190701
_LARGEST_VALUE = 16.0


def of_scikit_learn(what: str) -> Path:
    """The folder of the data that scikit-learn carries; `what` they are. Raises: DataError where it is missing."""
    # Importing scikit-learn takes seconds of every program's start.
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError(f"{what} come with scikit-learn, which is missing: `make env-pytorch` installs it.")
    return Path(package.origin).parent / "datasets"


def _raw_digits() -> np.ndarray:
    """float64 [1797, 65]: of every digit the 8×8 pixels, 0…16, row by row, and its label.

    Raises DataError where scikit-learn or its file is missing.
    """
    path = of_scikit_learn("the digits") / "data" / "digits.csv.gz"
    try:
        with gzip.open(path) as file:
            return np.loadtxt(file, delimiter=",")
    except OSError as error:
        raise DataError(f"{path}, the digits of scikit-learn, cannot be read ({error}): install it again.") from error


def _interpolation(size: int, new_size: int) -> np.ndarray:
    """float64 [new_size, size]: row i blends the two old pixels nearest to the centre of new pixel i."""
    centres = np.clip((np.arange(new_size) + 0.5) * size / new_size - 0.5, 0, size - 1)
    left = np.minimum(centres.astype(int), size - 2)
    share = centres - left
    weights = np.zeros((new_size, size))
    weights[np.arange(new_size), left] = 1 - share
    weights[np.arange(new_size), left + 1] = share
    return weights


def enlarge(images: np.ndarray, image_size: int) -> np.ndarray:
    """[N, 8, 8] with values 0…1 → uint8 [N, image_size, image_size, 3] with values 0…255.

    Bilinear rather than nearest-neighbour: strokes stay smooth, where repeated pixels would draw a grid of hard edges
    that augmentation by rotation and shear then breaks in ways no handwriting has.
    """
    weights = _interpolation(images.shape[1], image_size)
    enlarged = np.einsum("ab,nbc,dc->nad", weights, images * 255, weights)
    return np.repeat(np.rint(enlarged).astype(np.uint8)[..., None], 3, axis=-1)


def _test_indices(labels: np.ndarray) -> np.ndarray:
    """Sorted indices of 360 examples, each class in proportion (largest remainders), always the same ones."""
    counts = np.bincount(labels)
    exact = counts * _TEST_SIZE / len(labels)
    quota = np.floor(exact).astype(int)
    quota[np.argsort(quota - exact, kind="stable")[: _TEST_SIZE - quota.sum()]] += 1
    generator = np.random.default_rng(_SPLIT_SEED)
    chosen = [generator.permutation(np.flatnonzero(labels == label))[:n] for label, n in enumerate(quota)]
    return np.sort(np.concatenate(chosen))


def load_digits(image_size: int = 32) -> ImageDataset:
    """1,437 training and 360 test images, uint8 [N, image_size, image_size, 3]; labels int64 [N], ten classes.

    Raises UsageError for an image_size below 8, DataError where scikit-learn is missing.
    """
    if image_size < 8:
        raise UsageError(f"image_size {image_size} is too small, digits are 8×8: choose 8 or more.")
    raw = _raw_digits()
    images, labels = enlarge(raw[:, :-1].reshape(-1, 8, 8) / _LARGEST_VALUE, image_size), raw[:, -1].astype(np.int64)
    test = _test_indices(labels)
    train = np.setdiff1d(np.arange(len(labels)), test)
    digest = hashlib.sha256()
    for array in (images[train], labels[train], images[test], labels[test]):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return ImageDataset(
        images[train],
        labels[train],
        images[test],
        labels[test],
        class_names=tuple(str(digit) for digit in range(10)),
        name="digits",
        version=f"scikit-learn 1,797 digits, bilinear {image_size}",
        fingerprint=digest.hexdigest(),
    )
