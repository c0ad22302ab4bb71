"""From flags to what is trained and tested on: every flag of the data has its effect."""

import numpy as np
import pytest

from data.digits import load_digits
from ieg.augmentation.transforms import CIFAR, LONG_TAIL
from ieg.datasets.inputs import make_inputs
from ieg.settings.config import resolve
from ieg.settings.dataset_name import parse_dataset_name
from ieg.settings.flags import parse_flags

SMALL = ["--dataset=digits_uniform_0.4", "--image_size=8", "--batch_size=100", "--probe_dataset_hold_ratio=0.014"]
LONG = "--dataset=digits_imbal_0.1"


def inputs(*words, replicas=1):
    return make_inputs(resolve(parse_flags([*SMALL, *words]), replicas), slice(None))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--method=supervised", "--aug_type=randaug"], (None, False, 0)),
        (["--method=l2r"], (None, True, 0)),
        (["--method=fsr"], (None, False, 1)),
        (["--method=fsr", "--nouse_mixup"], (None, False, 0)),
        (["--method=ieg"], ("autoaug", True, 3)),
        (["--method=ieg", "--aug_type=default"], ("default", True, 3)),
        (["--method=ieg", "--no_probe_mixing"], ("autoaug", True, 2)),
        (["--method=ieg", "--no_mixup"], ("autoaug", True, 0)),
    ],
)
def test_each_method_has_the_strong_copies_probes_and_mixup_draws_that_it_needs(words, expected):
    source = inputs(*words, "--seed=3", replicas=2).source
    assert (source.aug_type, source.probes, source.mixup_blocks) == expected
    assert (source.batch_size, source.replicas, source.seed) == (100, 2, 3)


@pytest.mark.parametrize(
    ("words", "transform", "pad", "flips"),
    [
        ([], CIFAR, 2, True),
        (["--weak_aug=none"], CIFAR, 0, False),
        ([LONG, "--method=fsr"], LONG_TAIL, 4, True),
    ],
)
def test_tests_see_images_as_training_does_uncropped_and_beside_their_labels(words, transform, pad, flips):
    found, digits = inputs(*words), load_digits(8)
    made = found.source.transform
    assert (made.normalize, made.to_bytes, made.pad, made.flips) == (
        transform.normalize,
        transform.to_bytes,
        pad,
        flips,
    )
    ((images, labels),) = found.test_sets[""].batches(1000)
    order = found.source.split.test_index
    np.testing.assert_array_equal(images, transform.normalize(digits.test_images[order]))
    np.testing.assert_array_equal(labels, digits.test_labels[order])


def test_labels_are_wrong_as_often_as_the_name_says_and_those_of_probes_never():
    split, labels = inputs().source.split, load_digits(8).train_labels
    assert np.mean(split.train_labels != split.true_labels) == pytest.approx(0.4 * 0.9, abs=0.05)
    np.testing.assert_array_equal(split.true_labels, labels[split.train_index])
    np.testing.assert_array_equal(split.probe_labels, labels[split.probe_index])
    assert not set(split.train_index) & set(split.probe_index)


@pytest.mark.parametrize(
    ("name", "noise", "ratio", "imbalance"),
    [
        ("cifar10", "none", 0.0, None),
        ("cifar10_uniform_0.8", "uniform", 0.8, None),
        ("cifar10_asymmetric_0.4", "asymmetric", 0.4, None),
        ("cifar10_imbal_0.02", "none", 0.0, 0.02),
        ("cifar10_imbal_0.02_0.2", "uniform", 0.2, 0.02),
    ],
)
def test_the_noise_of_a_name(name, noise, ratio, imbalance):
    found = parse_dataset_name(name)
    assert (found.noise, found.ratio, found.imbalance) == (noise, ratio, imbalance)
