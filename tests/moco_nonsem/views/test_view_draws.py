"""Draws of a view: torchvision's distributions, keyed, and what a texture shares with its query."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy import stats
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms import ColorJitter, RandomResizedCrop, functional

from moco_nonsem.images.random_resized_crop import Box, Shares, crop_and_resize, draw_crop, place
from moco_nonsem.views.view_draws import color_draws, draw_view
from tests.moco_nonsem.photographs import picture

COUNT = 3000


@pytest.mark.parametrize("height, width, scale", [(256, 341, (0.2, 1.0)), (300, 200, (0.08, 1.0))])
def test_windows_are_distributed_as_torchvisions(height, width, scale):
    rng = np.random.default_rng(1)
    ours = np.array([draw_crop(rng, height, width, scale)[0] for _ in range(COUNT)])
    image = torch.empty(3, height, width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        theirs = [RandomResizedCrop.get_params(image, scale, (3 / 4, 4 / 3)) for _ in range(COUNT)]
    for column in zip(ours.T, np.array(theirs).T, strict=True):
        assert stats.ks_2samp(*column).pvalue > 0.01
    area = (ours[:, 2] * ours[:, 3], np.prod(np.array(theirs)[:, 2:], axis=1))
    assert stats.ks_2samp(*area).pvalue > 0.01
    ends = ours[:, :2] + ours[:, 2:]
    assert (ours[:, :2] >= 0).all() and (ends <= (height, width)).all()
    assert ends.max(axis=0).tolist() == [height, width]


@pytest.mark.parametrize("height, width, box", [(10, 200, (0, 93, 10, 13)), (200, 10, (93, 0, 13, 10))])
def test_an_image_too_narrow_for_any_window_gives_its_middle_as_torchvision(height, width, box):
    found, shares = draw_crop(np.random.default_rng(0), height, width, (0.9, 1.0))
    assert found == box == tuple(RandomResizedCrop.get_params(torch.empty(3, height, width), (0.9, 1.0), (0.75, 4 / 3)))
    assert np.abs(np.subtract(place(shares, height, width), found)).max() <= 1


def test_cutting_and_scaling_is_pillows_within_a_level():
    for seed, box in enumerate([Box(3, 5, 40, 50), Box(0, 0, 48, 60), Box(10, 20, 9, 12), Box(47, 59, 1, 1)]):
        image = picture(seed)
        found = crop_and_resize(torch.from_numpy(np.array(image)).permute(2, 0, 1), box, 32)
        expected = functional.pil_to_tensor(functional.resized_crop(image, *box, [32, 32]))
        assert found.shape == (3, 32, 32) and (found.int() - expected.int()).abs().max() <= 1


def share(bits, p):
    """Whether so many of COUNT lie within 3.5 standard deviations of p."""
    return abs(np.mean(bits) - p) < 3.5 * np.sqrt(p * (1 - p) / COUNT)


@pytest.fixture(scope="module")
def views():
    rng = np.random.default_rng(3)
    return [draw_view(rng, 256, 341, True) for _ in range(COUNT)]


def test_v2_does_each_thing_as_often_as_stated(views):
    assert share([view.jitter for view in views], 0.8)
    assert share([view.gray for view in views], 0.2)
    assert share([view.sigma > 0 for view in views], 0.5)
    assert share([view.flip for view in views], 0.5)
    sigma = [view.sigma for view in views if view.sigma]
    assert stats.kstest(sigma, "uniform", (0.1, 1.9)).pvalue > 0.01


def test_v1_always_jitters_never_blurs():
    rng = np.random.default_rng(4)
    views = [draw_view(rng, 256, 341, False) for _ in range(COUNT)]
    assert all(view.jitter for view in views) and not any(view.sigma for view in views)
    assert share([view.gray for view in views], 0.2) and share([view.flip for view in views], 0.5)
    assert stats.kstest([view.factors[3] for view in views], "uniform", (-0.4, 0.8)).pvalue > 0.01


def test_factors_and_orders_are_torchvisions(views):
    jitter = ColorJitter(0.4, 0.4, 0.4, 0.1)
    ranges = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    for column, (low, high) in zip(np.array([view.factors for view in views]).T, ranges, strict=True):
        assert stats.kstest(column, "uniform", (low, high - low)).pvalue > 0.01
    orders = np.array([view.order for view in views]) @ [64, 16, 4, 1]
    counts = np.unique(orders, return_counts=True)[1]
    assert len(counts) == 24 and stats.chisquare(counts).pvalue > 0.01


def test_draws_of_a_batch_keep_their_images_apart(views):
    together = color_draws(views[:5])
    for k, view in enumerate(views[:5]):
        assert together.jitter[k] == view.jitter and together.gray[k] == view.gray
        assert np.array_equal(together.order[k], view.order)
        np.testing.assert_allclose(together.factors[k], view.factors, rtol=1e-6)
        assert together.sigma[k] == pytest.approx(view.sigma)


def test_the_same_seed_gives_another_picture_the_same_colours_only_until_a_window_is_rejected():
    """The spec: the rest of the draw differs for 24 % of photographs; here 3:4 ones and square textures."""
    same = 0
    for seed in range(1000):
        photograph = draw_view(np.random.default_rng(seed), 256, 341, True)
        texture = draw_view(np.random.default_rng(seed), 224, 224, True)
        equal = np.array_equal(photograph.factors, texture.factors)
        assert equal == (photograph.shares == texture.shares)
        same += equal
    assert 0.65 < same / 1000 < 0.9


def test_aligned_shares_area_aspect_and_relative_place():
    assert place(Shares(0.5, 1.0, 0.5, 0.25), 100, 200) == (0, 25, 100, 100)
    assert place(Shares(0.5, 1.0, 0.5, 0.25), 200, 200) == (30, 15, 141, 141)
    view = draw_view(np.random.default_rng(9), 256, 341, True)
    assert place(view.shares, 256, 341) == view.box
    box = place(view.shares, 512, 682)
    assert np.allclose(np.array(box) / 2, view.box, atol=1)


def test_an_aligned_window_never_leaves_a_smaller_or_narrower_picture():
    rng = np.random.default_rng(10)
    for _ in range(500):
        box = place(draw_view(rng, 100, 400, True).shares, 20, 20)
        assert box.height >= 1 and box.width >= 1 and min(box.top, box.left) >= 0
        assert box.top + box.height <= 20 and box.left + box.width <= 20


def test_a_gpu_is_given_no_bytes_to_scale():
    """It has no kernel for them; the rounded numbers are those of a CPU, to one level."""

    class Scaled(TorchDispatchMode):
        kinds: ClassVar[list] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if "upsample" in str(func):
                self.kinds.append(args[0].dtype)
            return func(*args, **(kwargs or {}))

    with Scaled() as scaled:
        view = crop_and_resize(torch.empty(3, 40, 50, dtype=torch.uint8, device="meta"), Box(3, 4, 20, 30), 16)
    assert scaled.kinds == [torch.float32]
    assert (view.dtype, view.shape) == (torch.uint8, (3, 16, 16))
