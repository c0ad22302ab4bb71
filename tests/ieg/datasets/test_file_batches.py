"""Batches from files: a pure function of seed and step, with the draws that belong to each image."""

import numpy as np
import pytest
import tensorflow as tf

from common.errors import DataError
from common.random_streams import generator
from ieg.augmentation import imagenet_policy, inception
from ieg.datasets.batches import prefetch
from ieg.datasets.file_batches import FileBatchSource
from ieg.datasets.image_files import Decoder, EncodedImages, draw_strong, draw_weak, evaluation_image
from ieg.datasets.split import Split
from tests.ieg.photographs import photographs

SIZE, COUNT = 32, 24


def source(**changes):
    files = np.array([str(path) for path in photographs()[:COUNT]])
    every, labels = np.arange(COUNT), np.arange(COUNT) % 4
    split = Split(every[::-1].copy(), labels, labels, np.arange(6), labels[:6], np.arange(0))
    probes = tuple(path.read_bytes() for path in photographs()[100:106])
    fields = {"batch_size": 5, "seed": 1, "aug_type": "autoaug", "probes": True, "mixup_blocks": 3}
    return FileBatchSource(files=files, split=split, **fields | changes, size=SIZE, encoded_probes=probes)


def assert_equal(one, two):
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_a_batch_depends_on_seed_and_step_alone_and_threads_change_nothing():
    made = list(prefetch(source(), 2, 8, workers=2, depth=3))
    own = source()
    for step, batch in enumerate(made, start=2):
        assert_equal(batch, own.batch(step))
    other = source(seed=2).batch(2)
    for name, value in made[0].items():
        if name != "probe_labels":
            assert not np.array_equal(value, other[name]), name
            assert not np.array_equal(value, made[1][name]), name
    assert made[0]["images"].shape == made[0]["strong_images"].shape == (5, SIZE, SIZE, 3)


def test_an_image_is_made_by_its_own_draws():
    own, step = source(), 3
    batch = own.batch(step)
    weak, strong = draw_weak(generator(1, "weak", step), 5), draw_strong(generator(1, "strong", step), 5)
    for k, position in enumerate(batch["positions"]):
        jpeg = photographs()[COUNT - 1 - position].read_bytes()  # the split's order is reversed
        image = inception.training_image(jpeg, weak["seed"][k], weak["flip"][k], SIZE)
        np.testing.assert_allclose(batch["images"][k], image / 127.5 - 1, atol=1e-5)
        image = tf.cast(inception.training_image(jpeg, strong["seed"][k], strong["flip"][k], SIZE), tf.uint8)
        image = imagenet_policy.autoaugment(
            image, tf.constant(strong["policy"][k]), tf.constant(strong["uniform"][k]), tf.constant(strong["negate"][k])
        )
        image = imagenet_policy.cutout(image, tf.constant(strong["centre"][k]))
        np.testing.assert_allclose(batch["strong_images"][k], image.numpy() / 127.5 - 1, atol=1e-5)
        assert (batch["strong_images"][k] == -1).all(-1).sum() >= 64  # a quarter of the cutout at the least
    assert not np.array_equal(weak["seed"], strong["seed"])


def test_the_default_strong_copy_is_a_second_weak_one():
    batch = source(aug_type="default").batch(0)
    assert np.abs(batch["images"] - batch["strong_images"]).mean() > 0.05
    assert not (batch["strong_images"] == -1).all(-1).any(axis=(1, 2)).all()


def test_probes_go_round_in_their_order():
    own = source()
    np.testing.assert_array_equal(own.batch(0)["probe_labels"], [0, 1, 2, 3, 0])
    np.testing.assert_array_equal(own.batch(1)["probe_labels"], [1, 0, 1, 2, 3])
    draws = draw_weak(generator(1, "probe", 1), 5)
    image = inception.training_image(photographs()[105].read_bytes(), draws["seed"][0], draws["flip"][0], SIZE)
    np.testing.assert_allclose(own.batch(1)["probe_images"][0], image / 127.5 - 1, atol=1e-5)


def test_two_replicas_see_what_one_sees():
    one = source(batch_size=6, mixup_blocks=0).batch(1)
    assert_equal(one, source(batch_size=3, replicas=2, mixup_blocks=0).batch(1))


def test_queue_images_are_bytes_drawn_by_refill():
    own = source()
    images = own.queue_images(np.array([3, 0, 7]), 4)
    assert images.shape == (3, SIZE, SIZE, 3) and images.dtype == np.uint8
    draws = draw_weak(generator(1, "queue", 4), 3)
    image = inception.training_image(
        photographs()[COUNT - 1 - 3].read_bytes(), draws["seed"][0], draws["flip"][0], SIZE
    )
    assert np.abs(images[0] - image).max() <= 0.51
    np.testing.assert_allclose(own.byte_values[[0, 255]], [-1, 1])
    assert not np.array_equal(images, own.queue_images(np.array([3, 0, 7]), 5))


def test_a_test_set_is_handed_out_whole_and_in_order():
    jpegs = np.array([path.read_bytes() for path in photographs()[:7]], object)
    tests = EncodedImages({"encoded": jpegs}, np.arange(7), SIZE)
    batches = list(tests.batches(3))
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    joined = np.concatenate([images for images, _ in batches])
    for jpeg, image in zip(jpegs, joined, strict=True):
        np.testing.assert_allclose(image, inception.evaluation_image(jpeg, SIZE) / 127.5 - 1, atol=1e-5)


def test_an_image_that_cannot_be_decoded_is_named(tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photographs()[0].read_bytes()[:500])
    decoder = Decoder(evaluation_image, SIZE)
    with pytest.raises(DataError, match=r"broken\.jpg cannot be read as an image .*--decode"):
        decoder({"file": np.array([str(photographs()[1]), str(broken)])})
    with pytest.raises(DataError, match="image 1 of a TFRecord cannot be read as an image"):
        decoder({"encoded": np.array([photographs()[1].read_bytes(), b"nothing"], object)})
