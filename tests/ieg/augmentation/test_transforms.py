import numpy as np
import pytest

from common.random_streams import generator
from ieg.augmentation.transforms import CIFAR, LONG_TAIL
from ieg.augmentation.weak import draw_weak
from ieg.datasets.batches import ArrayBatchSource
from ieg.datasets.split import make_split


def by_hand(image, offset, flip, pad, value):
    """Pads, crops, flips, one pixel at a time, in float64."""
    side = image.shape[0]
    out = np.empty(image.shape)
    for row in range(side):
        for column in range(side):
            r, c = row + offset[0] - pad, (side - 1 - column if flip else column) + offset[1] - pad
            inside = 0 <= r < side and 0 <= c < side
            out[row, column] = [value(int(v) if inside else 0) for v in image[r % side, c % side]]
    return out


@pytest.mark.parametrize(
    ("transform", "pad", "value"),
    [(LONG_TAIL, 4, lambda v: v / 128 - 1), (CIFAR, 2, lambda v: 2 * (v / 255 - 0.5))],
)
def test_batches_follow_the_transform_of_their_set(transform, pad, value):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    split = make_split(np.arange(40) % 4, 4, 4, 8, "none", 0.0, 0)
    source = ArrayBatchSource(images=images, split=split, batch_size=30, seed=5, probes=True, transform=transform)
    batch = source.batch(0)
    for purpose, inputs, index in [
        ("weak", batch["images"], split.train_index[batch["positions"]]),
        ("probe", batch["probe_images"], split.probe_index[np.arange(30) % 8]),
    ]:
        draws = draw_weak(generator(5, purpose, 0), 30, pad)
        assert draws.offset.max() == 2 * pad
        for x, image, offset, flip in zip(inputs, images[index], draws.offset, draws.flip, strict=True):
            np.testing.assert_allclose(x, by_hand(image, offset, flip, pad, value), atol=1e-6)


def test_values_of_the_long_tail_and_back():
    values = np.arange(256, dtype=np.uint8)
    x = LONG_TAIL.normalize(values)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, np.arange(256) / 128 - 1)
    np.testing.assert_array_equal(LONG_TAIL.to_bytes(x), values)


def test_the_strong_copy_of_the_long_tail_has_its_values():
    images = np.full((200, 32, 32, 3), 200, np.uint8)
    split = make_split(np.arange(200) % 4, 4, 4, 0, "none", 0.0, 0)
    batch = ArrayBatchSource(
        images=images, split=split, batch_size=200, seed=0, aug_type="autoaug", transform=LONG_TAIL
    ).batch(0)
    strong = batch["strong_images"]
    assert set(np.unique(strong)) <= {0.0, *(np.arange(256) / 128 - 1)}
    assert np.mean(strong == 200 / 128 - 1) > 0.2
