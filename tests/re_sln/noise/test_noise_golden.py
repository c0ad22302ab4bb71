"""The published noise: the authors' files as they are read, and the second sample drawn again bit for bit."""

import hashlib
import shutil

import numpy as np
import pytest

from common.results.tables import csv_text
from re_sln.noise.labels import noisy_labels
from re_sln.noise.noise_files import HEADER
from re_sln.noise.openset_noise import choose_places_as_the_rerun
from tests.re_sln.noise_inputs import AUTHORS, REAL, SHARED, authors_columns, request, toy_dataset

pytestmark = REAL
SEEDS_OWN = [
    ("cifar10", "sym", 0.4, 20170, "c0a7589754a9d35668b6e5d41ae47426b56bfdbf7eb1b5bc27292eb5e682a734"),
    ("cifar10", "asym", 0.4, 8068, "72f4812c41ed1f896d967df46df309c54fb84c08ab66a67eed2e92b68aac916e"),
    ("cifar10", "sym", 0.5, 25070, "04ed82f09ac2504e7273ce2dbd1c81c67ba2c821622f101b447b73a01fd61101"),
    ("cifar10", "asym", 0.5, 10028, "27873e2cafb21a26b8b77964d0f660a259fc3a637746e939901e83d41a37b598"),
    ("cifar100", "sym", 0.4, 19400, "d8b255f8b3ec0bce38b2df000ac39294b6d8e3138a0fbf52a2df4d5d8807c556"),
    ("cifar100", "asym", 0.4, 19400, "45f7ea205df7532a1f598efdfaaaea0b67a5596b6babee2aeabd895d59730b35"),
]
AUTHORS_OWN = [
    ("cifar10", "sym", 20013), ("cifar10", "asym", 10159), ("cifar10", "dependent", 20000),
    ("cifar100", "sym", 19940), ("cifar100", "asym", 20006), ("cifar100", "dependent", 20000),
]  # fmt: skip


def real_labels(dataset_name):
    """CIFAR-10's from the images' own index; CIFAR-100's as the authors' file repeats them."""
    if dataset_name == "cifar100":
        return authors_columns("CIFAR100/sym0.4")[0]
    with np.load(SHARED / "cifar10-jpeg" / "index.npz") as index:
        return index["train_labels"].astype(np.int64)


@pytest.mark.parametrize("dataset_name, mode, p, flips, sha256", SEEDS_OWN)
def test_the_published_second_sample_is_drawn_bit_for_bit(tmp_path, dataset_name, mode, p, flips, sha256):
    dataset = toy_dataset(real_labels(dataset_name), 10 if dataset_name == "cifar10" else 100)
    noise = noisy_labels(request(tmp_path, dataset_name, mode, p=p, custom_rng="rerun", asym_rules="rerun"), dataset)
    assert (noise.is_noisy.sum(), noise.sha256) == (flips, sha256)
    assert noise.path is not None and hashlib.sha256(noise.path.read_bytes()).hexdigest() == sha256


def test_the_published_open_set_file_is_drawn_bit_for_bit():
    is_foreign = np.zeros(50000, dtype=bool)
    is_foreign[choose_places_as_the_rerun(50000, 50000, 0.4, 123)[0]] = True
    text = csv_text(HEADER, [*zip(real_labels("cifar10").tolist(), is_foreign.tolist(), strict=True)])
    expected = "29bd238950ca7d9d10447087a1a594a67394fcdfd6a514d7d1c7590b2bf0437c"
    assert hashlib.sha256(text.encode()).hexdigest() == expected


@pytest.mark.parametrize("dataset_name, mode, flips", AUTHORS_OWN)
def test_the_authors_files_are_read_as_they_are(tmp_path, dataset_name, mode, flips):
    folder = tmp_path / "label_noisy" / dataset_name
    folder.mkdir(parents=True)
    name = f"{dataset_name.upper()}/{mode}0.4"
    shutil.copy(AUTHORS / f"{name}.csv", folder)
    dataset = toy_dataset(real_labels(dataset_name), 10 if dataset_name == "cifar10" else 100)
    noise = noisy_labels(request(tmp_path, dataset_name, mode, custom=False, allow_unverified=False), dataset)
    assert noise.is_noisy.sum() == flips and noise.images is None and noise.rules == ()
    assert np.array_equal(noise.given, authors_columns(name)[1])
    assert noise.sha256 == hashlib.sha256((AUTHORS / f"{name}.csv").read_bytes()).hexdigest()


@pytest.mark.parametrize("dataset_name, num_classes, share", [("cifar10", 10, 0.2), ("cifar100", 100, 0.4)])
def test_the_default_noise_has_the_rate_of_the_authors(tmp_path, dataset_name, num_classes, share):
    dataset = toy_dataset(real_labels(dataset_name), num_classes)
    assert abs(noisy_labels(request(tmp_path, dataset_name, "asym"), dataset).is_noisy.mean() - share) < 0.01
