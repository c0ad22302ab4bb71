import numpy as np
import pytest

from ieg.datasets.long_tail import long_tailed
from ieg.settings.dataset_name import class_counts, parse_dataset_name

TOTALS = {  # of the class-balanced-loss files
    (5000, 10): {0.2: 25423, 0.1: 20431, 0.05: 17023, 0.02: 13996, 0.01: 12406, 0.005: 11203},
    (500, 100): {0.2: 24856, 0.1: 19573, 0.05: 15907, 0.02: 12608, 0.01: 10847, 0.005: 9502},
}


@pytest.mark.parametrize(("size", "totals"), TOTALS.items())
def test_class_counts_have_the_published_totals(size, totals):
    for factor, total in totals.items():
        counts = class_counts(size[0], factor, size[1])
        assert sum(counts) == total
        assert (counts[0], counts[-1]) == (size[0], int(size[0] * factor))
        assert sorted(counts, reverse=True) == counts
    assert class_counts(5000, 0.02, 10) == [5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100]
    assert class_counts(*size[:1], 1, size[1]) == [size[0]] * size[1]


def test_counts_do_not_lose_one_to_rounding():
    assert class_counts(500, 0.57, 2) == [500, 285]


def test_a_long_tailed_set_keeps_the_first_of_every_class():
    labels = np.random.default_rng(0).integers(0, 3, 90)
    kept = long_tailed(labels, [20, 5, 1])
    expected, seen = [], [0, 0, 0]
    for index, label in enumerate(labels):
        if seen[label] < (20, 5, 1)[label]:
            seen[label] += 1
            expected.append(index)
    np.testing.assert_array_equal(kept, expected)
    with pytest.raises(ValueError, match=r"class 1 has .* fewer than the 80"):
        long_tailed(labels, [20, 80, 1])


def test_names_of_long_tailed_sets():
    name = parse_dataset_name("cifar10_imbal_0.02")
    assert (name.base, name.noise, name.imbalance, name.num_train, name.num_classes) == (
        "cifar10", "none", 0.02, 13996, 10,
    )  # fmt: skip
    noisy = parse_dataset_name("cifar100_imbal_0.01_0.2")
    assert (noisy.noise, noisy.ratio, noisy.num_train) == ("uniform", 0.2, 10847)
    assert parse_dataset_name("cifar10_imbal_1").num_train == 50000
    assert parse_dataset_name("digits_imbal_0.02").counts[::9] == [139, 2]
    assert parse_dataset_name("cifar10_uniform_0.2").counts is None


def test_names_of_webvision():
    name = parse_dataset_name("webvisionmini")
    assert (name.is_webvision, name.num_classes, name.probes_per_class) == (True, 50, 10)
    assert parse_dataset_name("webvisionmini_5").probes_per_class == 5
    assert not parse_dataset_name("cifar10").is_webvision
