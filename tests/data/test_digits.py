import hashlib

import numpy as np
import pytest

from common.errors import UsageError
from data.digits import enlarge, load_digits

datasets = pytest.importorskip("sklearn.datasets", reason="the digits come with scikit-learn")


def test_shapes_split_and_balance():
    data = load_digits()
    assert data.train_images.shape == (1437, 32, 32, 3) and data.test_images.shape == (360, 32, 32, 3)
    assert data.train_images.dtype == np.uint8 and data.train_labels.dtype == np.int64
    assert data.num_classes == 10 and data.name == "digits"
    counts = np.bincount(np.concatenate([data.train_labels, data.test_labels]))
    assert counts.tolist() == np.bincount(datasets.load_digits().target).tolist()
    assert np.abs(np.bincount(data.test_labels) - counts * 360 / 1797).max() < 1


def test_every_digit_is_in_exactly_one_half_with_its_label():
    data, raw = load_digits(8), datasets.load_digits()
    images = np.rint(raw.images * 255 / 16).astype(np.uint8)
    both = np.concatenate([data.train_images, data.test_images])[..., 0]
    labels = np.concatenate([data.train_labels, data.test_labels])
    ours = sorted((image.tobytes(), label) for image, label in zip(both, labels, strict=True))
    assert ours == sorted((image.tobytes(), label) for image, label in zip(images, raw.target, strict=True))


def test_values_span_the_range_and_channels_agree():
    data = load_digits()
    assert data.train_images.min() == 0 and data.train_images.max() == 255
    np.testing.assert_array_equal(data.train_images[..., 0], data.train_images[..., 2])


@pytest.mark.parametrize("size", [8, 9, 20, 32])
def test_enlarging_agrees_with_a_loop(size):
    image = np.random.default_rng(0).integers(0, 17, (8, 8)).astype(float)
    ours = enlarge(image[None] / 16, size)[0, ..., 0]
    for row in range(size):
        for column in range(size):
            y = min(max((row + 0.5) * 8 / size - 0.5, 0), 7)
            x = min(max((column + 0.5) * 8 / size - 0.5, 0), 7)
            value = sum(
                image[j, i] * max(0, 1 - abs(y - j)) * max(0, 1 - abs(x - i)) for j in range(8) for i in range(8)
            )
            assert abs(ours[row, column] - value * 255 / 16) <= 0.5 + 1e-9


def test_the_same_every_time_and_the_fingerprint_says_so():
    before = str(np.random.get_state())  # noqa: NPY002  the global generator must be left alone
    one, two, small = load_digits(), load_digits(), load_digits(16)
    assert before == str(np.random.get_state())  # noqa: NPY002
    assert one.fingerprint == two.fingerprint != small.fingerprint
    digest = hashlib.sha256()
    for array in (one.train_images, one.train_labels, one.test_images, one.test_labels):
        digest.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    assert one.fingerprint == digest.hexdigest()
    assert one.fingerprint == "06cf26c2f3e2394bde7b50fdd1e9a3dd834e216e7011af763c8ff16506e384c6"


def test_too_small():
    with pytest.raises(UsageError, match="image_size 7 is too small"):
        load_digits(7)
