import numpy as np
import pytest

from common.errors import UsageError
from re_sln.images import normalisation as module
from re_sln.images.normalisation import normalisation

IMAGES = np.random.default_rng(3).integers(0, 256, (23, 5, 4, 3)).astype(np.uint8)


def mean_of(values):
    return sum(values) / len(values)


def deviation_of(values):
    mean = mean_of(values)
    return mean_of([(value - mean) ** 2 for value in values]) ** 0.5


def pixels(images, channel):
    return [value / 255 for value in images[..., channel].flatten().tolist()]


@pytest.mark.parametrize("chunk", [7, 5000])
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "animal-10n", "digits"])
def test_mean_and_deviation_agree_with_loops(name, chunk, monkeypatch):
    """CIFAR-10: the mean over images of each image's own deviation; else over all pixels at once."""
    monkeypatch.setattr(module, "CHUNK", chunk)
    mean, std = normalisation(name, "rerun", IMAGES)
    for channel in range(3):
        assert mean[channel] == pytest.approx(mean_of(pixels(IMAGES, channel)), rel=1e-12)
        if name == "cifar10":
            expected = mean_of([deviation_of(pixels(image, channel)) for image in IMAGES])
        else:
            expected = deviation_of(pixels(IMAGES, channel))
        assert std[channel] == pytest.approx(expected, rel=1e-12)


def test_the_two_kinds_of_deviation_differ():
    assert (normalisation("cifar10", "rerun", IMAGES)[1] < normalisation("cifar100", "rerun", IMAGES)[1] - 1e-3).all()


@pytest.mark.parametrize(
    "name, mean, std",
    [
        ("cifar10", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        ("cifar100", (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
        ("clothing1m", (0.6959, 0.6537, 0.6371), (0.3113, 0.3192, 0.3214)),
    ],
)
def test_the_authors_constants(name, mean, std):
    found = normalisation(name, "authors", IMAGES)
    assert tuple(found[0]) == mean and tuple(found[1]) == std


@pytest.mark.parametrize("name", ["digits", "animal-10n"])
def test_where_the_authors_have_none(name):
    with pytest.raises(UsageError, match=f"--norm=authors.*{name}.*--norm=rerun"):
        normalisation(name, "authors", IMAGES)
