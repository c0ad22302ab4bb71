from dataclasses import replace

import numpy as np
import pytest

from ieg.augmentation.transforms import CIFAR
from ieg.datasets.batches import ArrayBatchSource, prefetch
from ieg.datasets.split import make_split


def source(**changes):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (230, 32, 32, 3), np.uint8)
    split = make_split(np.arange(230) % 5, 10, 5, 20, "uniform", 0.5, 3)
    fields = {"batch_size": 8, "seed": 1, "aug_type": "autoaug", "probes": True, "mixup_blocks": 3} | changes
    return ArrayBatchSource(images=images, split=split, **fields)


def assert_equal(one, two, names=None):
    assert one.keys() == two.keys()
    for name in names or one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_a_batch_depends_on_seed_and_step_alone():
    assert_equal(source().batch(7), source().batch(7))
    other = source(seed=2).batch(7)
    for name, value in source().batch(7).items():
        if name != "probe_labels":  # the probe set is walked through in one fixed order
            assert not np.array_equal(value, other[name]), name
            assert not np.array_equal(value, source().batch(8)[name]), name


def test_strong_copies_are_drawn_anew_in_every_step():
    plain = source(transform=replace(CIFAR, pad=0, flips=False))
    first = replace(plain, images=np.broadcast_to(plain.images[:1], plain.images.shape))  # every image is the same one
    one, other = first.batch(0), first.batch(1)
    np.testing.assert_array_equal(one["images"], other["images"])
    assert not np.array_equal(one["strong_images"], other["strong_images"])


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_change_nothing(workers):
    made = list(prefetch(source(), 3, 20, workers, depth=4))
    assert len(made) == 17
    for step, batch in enumerate(made, start=3):
        assert_equal(batch, source().batch(step))


def test_two_replicas_see_what_one_sees():
    one, two = source(batch_size=8).batch(4), source(batch_size=4, replicas=2).batch(4)
    assert_equal(one, two, [name for name in one if name not in ("partner", "uniform", "probe_choice")])


def test_mixup_draws_stay_within_a_replica():
    batch = source(batch_size=4, replicas=2).batch(0)
    assert batch["probe_choice"].shape == (8,)
    assert batch["probe_choice"].max() < 4
    for half in np.split(batch["partner"], 2):
        assert sorted(half) == list(range(12))
    assert batch["uniform"].shape == (24,)
    assert not np.array_equal(*np.split(batch["uniform"], 2))


def test_an_epoch_takes_every_example_at_most_once_and_the_next_in_another_order():
    own = source()
    assert own.steps_per_epoch == 210 // 8
    epochs = [np.concatenate([own.positions(step + epoch * 26) for step in range(26)]) for epoch in (0, 1)]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == 208
    assert not np.array_equal(*epochs)


def test_labels_belong_to_their_images():
    own = source(aug_type=None, probes=False, mixup_blocks=0)
    batch = own.batch(5)
    assert set(batch) == {"positions", "images", "labels"}
    np.testing.assert_array_equal(batch["labels"], own.split.train_labels[batch["positions"]])
    assert batch["images"].dtype == np.float32
    assert np.abs(batch["images"]).max() <= 1


def test_probe_batches_repeat_in_order():
    own = source()
    labels = np.concatenate([own.batch(step)["probe_labels"] for step in range(5)])
    assert labels.tolist() == (list(range(5)) * 4) * 2
    assert not np.array_equal(own.batch(0)["probe_images"], own.batch(5)["probe_images"])  # cropped anew


def test_without_weak_augmentation_images_are_the_data_sets_own():
    plain = source(transform=replace(CIFAR, pad=0, flips=False))
    batch, split = plain.batch(3), plain.split
    expected = CIFAR.normalize(plain.images[split.train_index[batch["positions"]]])
    np.testing.assert_array_equal(batch["images"], expected)
    np.testing.assert_array_equal(
        batch["probe_images"], CIFAR.normalize(plain.images[split.probe_index[np.arange(24, 32) % 20]])
    )
    assert not np.array_equal(source().batch(3)["images"], expected)


def test_a_failing_batch_is_reported():
    with pytest.raises(ValueError, match="aug_type"):
        list(prefetch(source(aug_type="wrong"), 0, 2, 1, 2))
