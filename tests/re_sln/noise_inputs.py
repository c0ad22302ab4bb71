"""Data sets and requests that the tests of the noise share."""

import os
from pathlib import Path

import numpy as np
import pytest

from data.dataset import ImageDataset
from re_sln.noise.labels import NoiseRequest

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("SHARED_DATA") or ROOT.parent / "shared" / "data")
AUTHORS = SHARED / "sln-label-noise"
REAL = pytest.mark.skipif(not AUTHORS.is_dir(), reason=f"needs the authors' noise files in {AUTHORS}, see SHARED_DATA")


def toy_dataset(labels: np.ndarray, num_classes: int = 10) -> ImageDataset:
    """The labels, with images of one black pixel."""
    images, names = np.zeros((len(labels), 1, 1, 3), np.uint8), tuple(f"class{i}" for i in range(num_classes))
    return ImageDataset(images, np.asarray(labels, np.int64), images[:1], np.zeros(1, np.int64), names, "toy", "1", "0")


def request(place: Path, dataset_name: str = "cifar10", mode: str = "sym", **changes) -> NoiseRequest:
    """Custom noise of the default kind below `place`."""
    values = {"p": 0.4, "custom": True, "make_new": False, "seed": 123, "data_dir": place, "allow_unverified": True}
    return NoiseRequest(dataset_name, mode, **{**values, **changes})


def authors_columns(name: str) -> tuple[np.ndarray, np.ndarray]:
    """label, label_noisy of an authors' file such as CIFAR10/sym0.4, read without the program's own reader."""
    table = np.loadtxt(AUTHORS / f"{name}.csv", delimiter=",", skiprows=1, dtype=np.int64)
    return table[:, 0], table[:, 1]
