import itertools

import numpy as np
import pytest

from preprocess.boundary_cut import boundary_cut, cut_path_mask
from preprocess.quilting import new_block_mask


def cheapest(error):
    """Every path there is, tried."""
    height, width = error.shape
    steps = itertools.product(range(width), *[(-1, 0, 1)] * (height - 1))
    paths = (np.cumsum(each) for each in steps)
    inside = (path for path in paths if path.min() >= 0 and path.max() < width)
    return min(error[np.arange(height), path].sum() for path in inside)


@pytest.mark.parametrize("shape", [(1, 3), (2, 1), (5, 4), (7, 3), (6, 2)])
def test_the_cut_is_as_cheap_as_any(shape):
    error = np.random.default_rng(0).random((12, *shape))
    cut = boundary_cut(error)
    assert cut.shape == (12, shape[0])
    assert (np.abs(np.diff(cut, axis=1)) <= 1).all()
    cost = np.take_along_axis(error, cut[:, :, None], axis=2).sum(axis=(1, 2))
    np.testing.assert_allclose(cost, [cheapest(each) for each in error], rtol=1e-12)


def test_a_free_path_is_followed():
    error = np.ones((1, 6, 5))
    path = [2, 3, 4, 3, 2, 1]
    error[0, range(6), path] = 0
    assert boundary_cut(error)[0].tolist() == path


def test_the_new_block_gives_what_is_right_of_the_cut():
    assert cut_path_mask(np.array([[0, 2, 1]]), 3).tolist() == [
        [[True, True, True], [False, False, True], [False, True, True]]
    ]


def test_a_horizontal_cut_is_the_vertical_one_of_the_transposed_overlap():
    error = np.random.default_rng(1).random((4, 12, 12))
    vertical = new_block_mask(error, 2, left=True, top=False)
    horizontal = new_block_mask(error.transpose(0, 2, 1), 2, left=False, top=True)
    assert np.array_equal(horizontal, vertical.transpose(0, 2, 1))
    assert vertical[:, :, 2:].all()
    assert not vertical[:, :, :2].all()


def test_in_an_l_the_new_block_lies_right_of_one_cut_and_below_the_other():
    error = np.random.default_rng(2).random((4, 12, 12))
    both = new_block_mask(error, 2, left=True, top=True)
    one, other = new_block_mask(error, 2, True, False), new_block_mask(error, 2, False, True)
    assert np.array_equal(both, one & other)
    assert new_block_mask(error, 2, False, False).all()
