"""Colours and blur of a batch against Pillow, image by image, on the same draws."""

import numpy as np
import pytest
import torch
from PIL import ImageEnhance, ImageFilter
from torchvision import transforms
from torchvision.transforms import functional

from moco_nonsem.images.normalisation import MEAN, STD, denormalise, normalise
from moco_nonsem.views.color_jitter import ColorDraws, brightness, color_jitter, contrast, grayscale, hue, saturation
from moco_nonsem.views.gaussian_blur import blur_kernel, gaussian_blur, reach_of
from moco_nonsem.views.make_views import augment
from tests.moco_nonsem.photographs import picture

PICTURES = [picture(seed) for seed in range(6)]
FACTORS = np.array([0.6, 0.87, 1.0, 1.19, 1.4, 0.73], np.float32)
TURNS = np.array([-0.1, 0.1, 0.0, 0.4, -0.4, 0.03], np.float32)
PILLOW = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


def planes(images=PICTURES):
    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1).float() for image in images])


def column(factors):
    return torch.from_numpy(factors)[:, None, None, None]


def distance(batch, images):
    return (batch - planes(images)).abs()


def in_pillow(image, operation, factor):
    return functional.adjust_hue(image, factor) if operation == 3 else PILLOW[operation](image).enhance(factor)


@pytest.mark.parametrize("number, operation", list(enumerate((brightness, contrast, saturation))))
def test_three_operations_are_pillows_to_the_level(number, operation):
    batch = planes()
    operation(batch, column(FACTORS))
    off = distance(batch, [in_pillow(*item) for item in zip(PICTURES, [number] * 6, FACTORS.tolist(), strict=True)])
    assert off.max() <= 1 and (off > 0).float().mean() < 0.02


def test_hue_is_pillows_up_to_its_eight_bits():
    batch = planes()
    hue(batch, column(TURNS))
    off = distance(batch, [functional.adjust_hue(*item) for item in zip(PICTURES, TURNS.tolist(), strict=True)])
    assert off.mean() < 1 and off.max() <= 16


def test_hue_leaves_value_and_saturation_and_a_whole_turn_leaves_everything():
    batch = planes()
    hue(batch, torch.full((6, 1, 1, 1), 0.37))
    assert torch.equal(batch.amax(1), planes().amax(1)) and torch.equal(batch.amin(1), planes().amin(1))
    turned = planes()
    hue(turned, torch.ones(6, 1, 1, 1))
    assert (turned - planes()).abs().max() <= 1
    gray = torch.full((1, 3, 4, 4), 77.0)
    hue(gray, torch.full((1, 1, 1, 1), 0.3))
    assert torch.equal(gray, torch.full((1, 3, 4, 4), 77.0))


def test_gray_is_pillows():
    batch = planes()
    grayscale(batch)
    off = distance(batch, [functional.rgb_to_grayscale(image, 3) for image in PICTURES])
    assert off.max() <= 1 and (off > 0).float().mean() < 0.001


def draws_of(count, rng, **changes):
    parts = {
        "jitter": np.ones(count, bool),
        "order": np.array([rng.permutation(4) for _ in range(count)]),
        "factors": np.c_[rng.uniform(0.6, 1.4, (count, 3)), rng.uniform(-0.1, 0.1, count)].astype(np.float32),
        "gray": np.zeros(count, bool),
        "sigma": np.zeros(count, np.float32),
    }
    return ColorDraws(**parts | changes)


def test_jitter_follows_each_images_own_order_and_leaves_the_others_alone():
    jitter = np.array([True, True, False, True, True, False])
    draws = draws_of(6, np.random.default_rng(2), jitter=jitter)
    batch = planes()
    color_jitter(batch, draws)
    expected = []
    for k, image in enumerate(PICTURES):
        for operation in draws.order[k] if jitter[k] else []:
            image = in_pillow(image, operation, float(draws.factors[k, operation]))
        expected.append(image)
    off = distance(batch, expected)
    assert off[~torch.from_numpy(jitter)].max() == 0
    assert off.mean() < 1.5 and off.max() <= 24


@pytest.mark.parametrize("sigma", [0.1, 0.5, 0.9, 1.3, 1.7, 2.0])
def test_blur_is_pillows_within_three_levels_and_four_at_the_border(sigma):
    batch = planes()
    gaussian_blur(batch, np.full(6, sigma, np.float32))
    off = distance(batch, [image.filter(ImageFilter.GaussianBlur(sigma)) for image in PICTURES])
    assert off[:, :, 8:-8, 8:-8].max() <= 3 and off.max() <= 4
    assert off.mean() < 0.7


def test_blur_of_each_image_is_its_own_and_zero_is_none():
    sigma = np.array([0, 2.0, 0.4, 0, 1.1, 0.1], np.float32)
    batch = planes()
    gaussian_blur(batch, sigma)
    assert torch.equal(batch[[0, 3]], planes()[[0, 3]])
    for k in (1, 2, 4, 5):
        alone = planes()[k : k + 1]
        gaussian_blur(alone, sigma[k : k + 1])
        assert (batch[k] - alone[0]).abs().max() <= 1


@pytest.mark.parametrize("sigma", [0.1, 0.77, 1.5, 2.0])
def test_the_three_boxes_have_the_variance_that_is_asked_for(sigma):
    kernel = blur_kernel(sigma, 9)
    steps = np.arange(-9, 10)
    assert kernel.sum() == pytest.approx(1) and (kernel >= 0).all()
    assert (kernel * steps**2).sum() == pytest.approx(sigma**2, rel=1e-9)
    assert np.flatnonzero(kernel)[-1] - 9 == reach_of(sigma)


@pytest.mark.parametrize("aug_plus", [True, False], ids=["v2", "v1"])
def test_a_whole_view_is_the_authors_on_the_same_draws(aug_plus):
    rng = np.random.default_rng(8)
    sigma = np.array([0, 1.2, 0, 0.5, 2.0, 0], np.float32) * aug_plus
    draws = draws_of(6, rng, gray=np.array([False, True, False, False, True, False]), sigma=sigma)
    crops = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in PICTURES])
    views = augment(crops, draws, aug_plus)
    last = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    for k, image in enumerate(PICTURES):
        if draws.gray[k] and not aug_plus:
            image = functional.rgb_to_grayscale(image, 3)
        for operation in draws.order[k]:
            image = in_pillow(image, operation, float(draws.factors[k, operation]))
        if draws.gray[k] and aug_plus:
            image = functional.rgb_to_grayscale(image, 3)
        if sigma[k]:
            image = image.filter(ImageFilter.GaussianBlur(float(sigma[k])))
        off = (views[k] - last(image)).abs() * torch.tensor(STD)[:, None, None] * 255
        assert off.mean() < (1.5 if aug_plus else 3) and off.max() <= 24


def test_images_of_a_batch_do_not_depend_on_how_many_are_done_at_once(monkeypatch):
    crops = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in PICTURES])
    draws = draws_of(6, np.random.default_rng(3), sigma=np.array([0, 1.2, 0, 0.5, 2.0, 0], np.float32))
    together = augment(crops, draws, True)
    monkeypatch.setattr("moco_nonsem.views.make_views.PIXELS_ON_CPU", 1)
    assert (together - augment(crops, draws, True)).abs().max() < 0.02  # a level of 255 is 0.017 to 0.018


def test_normalisation_is_torchvisions_and_can_be_undone():
    batch = planes()
    expected = transforms.functional.normalize(batch / 255, MEAN, STD)
    normalise(batch)
    torch.testing.assert_close(batch, expected, atol=3e-6, rtol=0)
    assert torch.equal(denormalise(batch).float(), planes())
