"""The queue of fsr: what is drawn of it, what enters it, what it remembers."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from common.errors import UsageError
from common.random_streams import generator
from ieg.augmentation.transforms import CIFAR, LONG_TAIL
from ieg.augmentation.weak import draw_weak, weak_augment
from ieg.datasets.batches import ArrayBatchSource
from ieg.datasets.split import make_split
from ieg.experiment import make_memory
from ieg.losses.margin import score_update
from ieg.methods.fsr_memory import Memory, MemorySettings
from ieg.methods.fsr_queue import class_balanced_draw, first_of_each_class, lowest_scored
from ieg.networks.network import build_network
from ieg.settings.config import resolve
from ieg.settings.flags import parse_flags
from ieg.settings.pseudo_loss_name import PseudoLoss
from ieg.training.state import TrainState

VALUES = np.linspace(-1, 1, 256, dtype=np.float32)
COUNTS = [5, 3, 1, 2, 5]  # of 5 places each; 3 are drawn


def draws(number, size=3, seed=7):
    draw = tf.function(lambda step: class_balanced_draw(tf.constant(COUNTS), 5, size, tf.stack([seed, step])))
    return np.array([draw(tf.constant(step)) for step in range(number)])


def test_every_class_gives_as_many_and_repeats_only_where_it_is_short():
    found = draws(300)
    assert found.shape == (300, 5, 3)
    for c, count in enumerate(COUNTS):
        assert found[:, c].min() == 0
        assert found[:, c].max() == count - 1
        distinct = {len(set(row)) for row in found[:, c].tolist()}
        assert distinct == ({3} if count >= 3 else {1} if count == 1 else {1, 2})


def test_every_place_is_drawn_equally_often():
    found = draws(2000)
    for c, count in enumerate(COUNTS):
        share = np.bincount(found[:, c].ravel(), minlength=count) / found[:, c].size
        np.testing.assert_allclose(share, 1 / count, atol=5 * np.sqrt(1 / count / 2000))
    pairs = np.bincount(5 * found[:, 0, 0] + found[:, 4, 0], minlength=25) / 2000  # classes are drawn apart
    np.testing.assert_allclose(pairs, 1 / 25, atol=5 * np.sqrt(1 / 25 / 2000))


def test_a_draw_depends_on_seed_and_step_alone():
    np.testing.assert_array_equal(draws(5), draws(5))
    assert not np.array_equal(draws(5), draws(5, seed=8))
    assert len({row.tobytes() for row in draws(20)}) == 20
    for step in range(5):
        by_itself = class_balanced_draw(tf.constant(COUNTS), 5, 3, tf.constant([7, step]))
        np.testing.assert_array_equal(by_itself, draws(5)[step])


def test_a_whole_class_can_be_drawn():
    for row in draws(20, size=5)[:, 0]:
        assert sorted(row) == list(range(5))


def test_first_of_each_class_in_order():
    labels = np.array([2, 0, 2, 2, 1, 0, 2, 0])
    assert [members.tolist() for members in first_of_each_class(labels, 4, 2)] == [[1, 5], [4], [0, 2], []]


def test_lowest_scored_of_each_class():
    random = np.random.default_rng(0)
    labels, scores, seen = random.integers(0, 5, 80), random.normal(size=80).round(1), random.random(80) < 0.6
    chosen = lowest_scored(scores, seen, labels, 6, 4)
    for c in range(6):
        members = [i for i in range(80) if labels[i] == c and seen[i]]
        expected = sorted(members, key=lambda i: (scores[i], i))[:4]
        assert chosen[c].tolist() == expected
    assert len(chosen[5]) == 0
    few = lowest_scored(scores, np.arange(80) < 3, labels, 6, 4)
    assert sum(map(len, few)) == 3


# ---------------------------------------------------------------------- the memory


def settings(**changes):
    fields = dict(
        capacity=4, batch_size=2, beta=0.9, steps_per_epoch=10, meta_start_epoch=2, moving_weight_gamma=0.0,
        meta_moving_end_epoch=0, global_batch=6, seed=3, pseudo_loss=PseudoLoss("all", 1.0, 0.1, 2.0),
    )  # fmt: skip
    return MemorySettings(**(fields | changes))


LABELS = np.arange(30) % 3


def images_of(chosen):
    """Images that show which example they are."""
    return np.broadcast_to(np.asarray(chosen, np.uint8)[:, None, None, None], (len(chosen), 8, 8, 3))


def memory(**changes):
    return Memory(LABELS, 3, (8, 8, 3), VALUES, settings(**changes))


def who(images):
    """Which examples `images_of` made the images for."""
    return np.rint((np.asarray(images)[:, 0, 0, 0] + 1) * 127.5).astype(int)


def write(held, ids, margins, running=None, averages=None):
    news = {"ids": tf.constant(ids, tf.int32), "margins": tf.constant(margins, tf.float32)}
    news |= {} if running is None else {"running_logits": tf.constant(running, tf.float32)}
    news |= {} if averages is None else {"class_weights": tf.constant(averages, tf.float32)}
    held.write(tf.distribute.get_strategy(), news)


def read(held):
    return held.read({"ids": tf.range(6)})


def test_the_first_probe_batch_is_real_and_balanced():
    held = memory()
    held.start(images_of)
    assert sorted(held.held()) == list(range(12))
    found = read(held)
    np.testing.assert_array_equal(found["probe_labels"], [0, 0, 1, 1, 2, 2])
    examples = who(found["probe_images"])
    np.testing.assert_array_equal(LABELS[examples], found["probe_labels"])
    assert len(set(examples)) == 6
    other = memory(seed=4)
    other.start(images_of)
    assert not np.array_equal(who(read(other)["probe_images"]), examples)


def test_a_step_moves_scores_running_logits_and_the_next_draw():
    held = memory()
    held.start(images_of)
    before = who(read(held)["probe_images"])
    rows = np.random.default_rng(0).normal(size=(6, 3))
    write(held, [3, 1, 4, 9, 20, 29], [1, 2, 3, 4, 5, 6], rows)
    expected = np.zeros(30)
    expected[[3, 1, 4, 9, 20, 29]] = -0.1 * np.arange(1, 7)
    np.testing.assert_allclose(held.scores, expected, rtol=1e-5)
    write(held, [1, 2], [1, 1], rows[:2])
    expected[1] = score_update(expected[1], 1, 0.9)
    expected[2] = -0.1
    np.testing.assert_allclose(held.scores, expected, rtol=1e-5)
    assert np.flatnonzero(held.seen).tolist() == [1, 2, 3, 4, 9, 20, 29]
    np.testing.assert_allclose(held.running_logits.numpy()[[1, 29]], rows[[0, 5]], rtol=1e-6)
    assert not held.running_logits.numpy()[0].any()
    assert int(held.step) == 2
    assert not np.array_equal(who(read(held)["probe_images"]), before)
    np.testing.assert_array_equal(read(held)["running_logits"], held.running_logits.numpy()[:6])


def test_a_refill_takes_the_lowest_scored_and_leaves_nothing_stale():
    held = memory()
    held.start(images_of)
    write(held, [0, 3, 6, 9, 12, 15], [1, 6, 2, 5, 3, 4], np.zeros((6, 3)))  # all of class 0
    write(held, [28, 1], [1, 2], np.zeros((2, 3)))  # of class 1
    held.refill(images_of)
    np.testing.assert_array_equal(held.queue_ids, [3, 9, 15, 12, 1, 28, -1, -1, 2, 5, 8, 11])
    np.testing.assert_array_equal(held.counts, [4, 2, 4])  # nobody has seen class 2: what was there stays
    assert sorted(held.held()) == sorted([3, 9, 15, 12, 1, 28, 2, 5, 8, 11])
    for _ in range(20):
        found = read(held)
        examples = who(found["probe_images"])
        assert set(examples[2:4]) <= {1, 28}
        assert set(examples) <= set(held.held())
        write(held, [0], [0], np.zeros((1, 3)))


def test_epochs_switch_weights_and_averages():
    held = memory(moving_weight_gamma=0.5, meta_moving_end_epoch=4)
    held.start(images_of)
    found = []
    for step in range(60):
        values = read(held)
        found.append((bool(values["weighted"]), bool(values["weights_move"])))
        write(held, [step % 30], [0], np.zeros((1, 3)), [step, step, step])
    assert found == 20 * [(False, False)] + 20 * [(True, True)] + 20 * [(True, False)]
    np.testing.assert_array_equal(held.class_weights, [59, 59, 59])
    np.testing.assert_allclose(memory().class_weights, np.full(3, 1 / 6))
    always = memory(moving_weight_gamma=0.5, meta_start_epoch=0)
    always.start(images_of)
    assert bool(read(always)["weights_move"])


def test_without_pseudo_labels_no_logits_are_kept():
    held = memory(pseudo_loss=None)
    held.start(images_of)
    assert held.running_logits.shape == (0, 3)
    assert "running_logits" not in read(held)


def test_a_class_without_examples_is_refused_before_training():
    flags = parse_flags(["--method=fsr", "--dataset=digits_uniform_0.6", "--queue_capacity=200", "--queue_bs=50"])
    labels = np.arange(40) % 8
    source = SimpleNamespace(split=SimpleNamespace(train_labels=labels), global_batch=100, byte_values=VALUES)
    with pytest.raises(UsageError, match="no example labelled 8, 9"):
        make_memory(resolve(flags, 1), source)
    source.split.train_labels = np.arange(40) % 10
    assert make_memory(resolve(flags, 1), source).settings.capacity == 20


def test_it_comes_back_from_a_checkpoint():
    one, other = memory(), memory()
    one.start(images_of)
    write(one, [3, 1], [1, 2], np.ones((2, 3)), None)
    one.refill(images_of)
    for name, value in other.variables().items():
        value.assign(one.variables()[name].numpy())
    names = {
        "step",
        "scores",
        "seen",
        "queue_images",
        "queue_ids",
        "queue_labels",
        "counts",
        "running_logits",
        "class_weights",
    }
    assert other.variables().keys() == {f"memory:{name}" for name in names}
    for _ in range(3):
        first, second = read(one), read(other)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        write(one, [5], [1], np.ones((1, 3)))
        write(other, [5], [1], np.ones((1, 3)))


@pytest.mark.parametrize("there, here", [(np.float16, np.uint8), (np.uint8, np.float16)])
def test_one_machine_reads_the_queue_of_several_and_they_its(there, here):
    """Between machines its bytes are kept in half precision."""
    state = TrainState(build_network("wrn10-1", 3, image_size=8), 0, memory())
    state.memory.queue_images = tf.Variable(np.zeros((12, 8, 8, 3), here))
    bytes_ = np.arange(12 * 8 * 8 * 3).reshape(12, 8, 8, 3) % 256
    state.restore(state.arrays() | {"memory:queue_images": bytes_.astype(there)})
    stored = state.memory.queue_images.numpy()
    assert stored.dtype == here
    np.testing.assert_array_equal(stored, bytes_)
    with pytest.raises(ValueError, match="queue_images is float32"):
        state.restore(state.arrays() | {"memory:queue_images": bytes_.astype(np.float32)})


# ---------------------------------------------------------------------- the queue's images


@pytest.mark.parametrize("transform", [CIFAR, LONG_TAIL])
def test_the_queue_holds_images_after_crop_and_flip_exactly(transform):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 8, 8, 3), np.uint8)
    split = make_split(np.arange(60) % 3, 5, 3, 0, "none", 0.0, 1)
    source = ArrayBatchSource(images=images, split=split, batch_size=10, seed=1, transform=transform)
    chosen = np.array([4, 40, 7])
    stored = source.queue_images(chosen, 2)
    assert stored.dtype == np.uint8
    values = source.byte_values[stored]
    raw = images[split.train_index[chosen]]
    draw = draw_weak(generator(1, "queue", 2), 3, transform.pad)
    np.testing.assert_array_equal(values, weak_augment(raw, draw, transform.normalize))
    assert not np.array_equal(stored, source.queue_images(chosen, 3))
    held = Memory(split.train_labels, 3, (8, 8, 3), source.byte_values, settings())
    held.fill([chosen[:1], chosen[1:2], chosen[2:]], lambda positions: source.queue_images(positions, 2))
    np.testing.assert_allclose(read(held)["probe_images"], values[[0, 0, 1, 1, 2, 2]], atol=2e-7)
