import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from ieg.datasets.label_noise import asymmetric_matrix, asymmetric_noise, uniform_noise
from ieg.datasets.split import make_split

SHARED = Path(os.environ.get("SHARED_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
INDEX = SHARED / "cifar10-jpeg" / "index.npz"
REAL = pytest.mark.skipif(not INDEX.exists(), reason=f"needs CIFAR-10's labels in {INDEX}, see SHARED_DATA")
# labels, noise, ratio, probe size, N, error rate, train[:5], noisy[:8], crc train, crc noisy, probe[:5], crc, test[:5]
GOLDEN = [
    (10, "uniform", 0.8, 100, 49900, 0.72457, "26433 48397 7463 48016 46687", "3 7 0 5 9 5 0 1", 2891086150, 3131816163,
     "39870 25891 48952 5643 25244", 1655012152, "8577 3780 9682 2879 4473"),
    (100, "uniform", 0.8, 1000, 49000, 0.79669, "7241 12563 22803 35313 26052", "72 67 69 86 69 46 96 57", 3410682974,
     512363068, "17100 36001 1102 4703 9404", 480705091, "3376 3145 5091 3423 8893"),
]  # fmt: skip
GOLDEN_REAL = [
    (0, "uniform", 0.8, 100, 49900, 0.72341, "26433 35252 7463 48016 46687", "1 7 0 5 9 6 0 1", 724924795, 2582646503,
     "16253 33392 7047 26557 13023", 3290964691, "8577 3780 9682 2879 4473"),
    (0, "uniform", 0.8, 1000, 49000, 0.72678, "2243 24913 16799 5829 19071", "8 5 5 4 6 1 8 7", 681976531, 1179471508,
     "41546 26082 32067 23189 2811", 2422708430, "4125 1573 8592 5117 5843"),
    (0, "uniform", 0.8, 0, 50000, 0.72022, "46729 46561 25696 39049 34752", "7 6 6 1 4 2 7 5", 2911506209, 95620353,
     "", 0, "5936 5588 8465 3682 1058"),
    (0, "asymmetric", 0.4, 100, 49900, 0.20018, "12409 24536 7700 4018 12414", "0 7 0 0 0 6 0 3", 3289220075,
     1750468749, "12178 7915 42889 48409 8233", 3575510666, "818 7903 3148 8253 4070"),
]  # fmt: skip


def crc(values):
    return zlib.crc32(np.asarray(values, np.int64).tobytes())


def numbers(text):
    return [int(part) for part in text.split()]


def check(labels, num_classes, golden):
    _, noise, ratio, probe, count, error, train, noisy, crc_train, crc_noisy, probes, crc_probe, test = golden
    split = make_split(labels, 10000, num_classes, probe, noise, ratio, 12345)
    assert len(split.train_index) == count
    assert np.mean(split.train_labels != split.true_labels) == pytest.approx(error, abs=5e-6)
    assert split.train_index[:5].tolist() == numbers(train)
    assert split.train_labels[:8].tolist() == numbers(noisy)
    assert (crc(split.train_index), crc(split.train_labels), crc(split.probe_index)) == (
        crc_train,
        crc_noisy,
        crc_probe,
    )
    assert split.probe_index[:5].tolist() == numbers(probes)
    assert split.test_index[:5].tolist() == numbers(test)


@pytest.mark.parametrize("golden", GOLDEN)
def test_golden_split(golden):
    check(np.arange(50000) % golden[0], golden[0], golden)


@REAL
@pytest.mark.parametrize("golden", GOLDEN_REAL)
def test_golden_split_of_cifar10(golden):
    labels = np.load(INDEX)["train_labels"].astype(np.int64)
    assert crc(labels) == 2930254377
    check(labels, 10, golden)


def test_probe_examples_are_clean_interleaved_and_never_train():
    labels = np.random.default_rng(0).integers(0, 5, 1000)
    split = make_split(labels, 10, 5, 50, "uniform", 1.0, 7)
    assert split.probe_labels.tolist() == list(range(5)) * 10
    np.testing.assert_array_equal(labels[split.probe_index], split.probe_labels)
    np.testing.assert_array_equal(labels[split.train_index], split.true_labels)
    everything = np.concatenate([split.train_index, split.probe_index])
    assert sorted(everything) == list(range(1000))


def test_other_seeds_give_other_splits():
    labels = np.arange(1000) % 5
    one, two = (make_split(labels, 10, 5, 50, "uniform", 0.5, seed) for seed in (1, 2))
    assert not np.array_equal(one.train_index, two.train_index)
    assert not np.array_equal(one.train_labels, two.train_labels)


def test_uniform_noise_rate_destinations_and_independence():
    labels = np.arange(100_000) % 10
    noisy = uniform_noise(labels, 0.8, 10, np.random.RandomState(0))
    flipped = noisy != labels
    deviation = np.sqrt(0.72 * 0.28 / 10_000)
    rates = np.array([flipped[labels == c].mean() for c in range(10)])
    assert np.abs(rates - 0.72).max() < 4 * deviation
    counts = np.bincount(noisy[flipped], minlength=10) / flipped.sum()
    assert np.abs(counts - 0.1).max() < 4 * np.sqrt(0.09 / flipped.sum())
    masks = np.array([flipped[labels == c] for c in range(10)], float)
    correlations = np.corrcoef(masks)[~np.eye(10, dtype=bool)]
    assert np.abs(correlations).max() < 5 / np.sqrt(10_000)
    assert np.array_equal(uniform_noise(labels, 0.0, 10, np.random.RandomState(0)), labels)


def test_asymmetric_noise_follows_its_matrix():
    matrix = asymmetric_matrix(0.4)
    np.testing.assert_allclose(matrix.sum(1), 1)
    assert np.trace(matrix) == pytest.approx(10 - 5 * 0.4)
    labels = np.arange(20_000) % 10
    noisy = asymmetric_noise(labels, 0.4, np.random.RandomState(0))
    realised = np.array([np.bincount(noisy[labels == c], minlength=10) / 2000 for c in range(10)])
    assert np.abs(realised - matrix).max() < 4 * np.sqrt(0.24 / 2000)
    assert np.all(realised[matrix == 0] == 0)
