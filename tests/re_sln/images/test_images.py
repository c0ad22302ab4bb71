"""What the network sees: images on the device, images through worker processes, and torchvision's own transforms."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional

from re_sln.images.augmentation import Crops, draw_crops
from re_sln.images.device_images import DeviceImages, Look
from re_sln.images.loader_images import LoaderImages

CPU = torch.device("cpu")
MEAN, STD = np.array([0.49, 0.48, 0.44]), np.array([0.2, 0.19, 0.22])
IMAGES = np.random.default_rng(5).integers(0, 256, (31, 32, 32, 3)).astype(np.uint8)
INDICES = [np.array([3, 30, 3]), np.array([0, 7, 8, 9]), np.array([29])]
NORMALISE = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


def look_of(size=32, padding=4, resize=0, channels_last=False):
    return Look(size, padding, resize, MEAN, STD, channels_last)


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("crops", [draw_crops(1, "crops", 1, 31), None], ids=["training", "test"])
@pytest.mark.parametrize("padding, size", [(4, 32), (0, 32), (1, 32), (0, 24)])
def test_on_the_device_and_through_workers_images_are_the_same_bits(crops, padding, size):
    look = look_of(size, padding)
    one = list(DeviceImages(IMAGES, look, CPU).batches(INDICES, crops))
    other = list(LoaderImages(IMAGES, look, CPU, 2).batches(INDICES, crops))
    assert [len(batch) for batch in one] == [3, 4, 1]
    for left, right in zip(one, other, strict=True):
        assert left.dtype == torch.float32 and left.shape[1:] == (3, size, size)
        assert torch.equal(left, right)


def test_training_images_are_torchvisions_on_the_same_draws():
    crops = draw_crops(1, "crops", 1, 31)
    (batch,) = DeviceImages(IMAGES, look_of(), CPU).batches([np.arange(31)], crops)
    for k in range(31):
        top, left = int(crops.rows[k] * 9), int(crops.columns[k] * 9)
        image = functional.crop(functional.pad(Image.fromarray(IMAGES[k]), 4), top, left, 32, 32)
        close(batch[k], NORMALISE(functional.hflip(image) if crops.flips[k] else image))


def test_the_border_is_black_before_normalisation():
    corner = Crops(np.zeros(31), np.zeros(31), np.zeros(31, bool))
    (batch,) = DeviceImages(IMAGES, look_of(), CPU).batches([np.array([5])], corner)
    close(batch[0, :, 0, 0], torch.tensor(-MEAN / STD, dtype=torch.float32))
    close(batch[0, :, 4:, 4:], NORMALISE(Image.fromarray(IMAGES[5]))[:, :28, :28])


@pytest.mark.parametrize("padding", [0, 4])
def test_test_images_are_whole_and_not_mirrored(padding):
    """Label correction may look at training images, which have their border, as at test images."""
    (batch,) = DeviceImages(IMAGES, look_of(padding=padding), CPU).batches([np.arange(31)], None)
    for k in range(31):
        close(batch[k], NORMALISE(Image.fromarray(IMAGES[k])))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of odd sizes; one is grey, one has a palette."""
    folder, rng, paths = tmp_path_factory.mktemp("files"), np.random.default_rng(6), []
    for k, (width, height) in enumerate([(40, 33), (33, 40), (57, 29), (31, 31), (64, 90)]):
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3)).astype(np.uint8))
        image = image.convert("L") if k == 1 else image.convert("P") if k == 2 else image
        paths.append(folder / f"{k}.png")
        image.save(paths[-1])
    return paths


def test_files_are_resized_then_cut_out_of_the_middle(files):
    (batch,) = LoaderImages(files, look_of(20, 0, 28), CPU, 1).batches([np.arange(5)], None)
    reference = transforms.Compose([transforms.Resize(28), transforms.CenterCrop(20), NORMALISE])
    for k, path in enumerate(files):
        close(batch[k], reference(Image.open(path).convert("RGB")))


def test_files_are_resized_then_cut_anywhere_for_training(files):
    crops = draw_crops(3, "crops", 1, 5)
    (batch,) = LoaderImages(files, look_of(20, 0, 28), CPU, 2).batches([np.arange(5)], crops)
    for k, path in enumerate(files):
        image = functional.resize(Image.open(path).convert("RGB"), 28)
        assert min(image.size) == 28
        top, left = int(crops.rows[k] * (image.height - 19)), int(crops.columns[k] * (image.width - 19))
        image = functional.crop(image, top, left, 20, 20)
        close(batch[k], NORMALISE(functional.hflip(image) if crops.flips[k] else image))


@pytest.mark.parametrize("kind", ["device", "workers"])
def test_channels_last_changes_the_layout_and_no_value(kind):
    def batch_of(look):
        images = DeviceImages(IMAGES, look, CPU) if kind == "device" else LoaderImages(IMAGES, look, CPU, 1)
        (batch,) = images.batches([np.arange(31)], draw_crops(1, "crops", 1, 31))
        return batch

    plain, last = batch_of(look_of()), batch_of(look_of(channels_last=True))
    assert plain.is_contiguous() and not last.is_contiguous()
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plain, last)


def test_no_batches():
    assert list(DeviceImages(IMAGES, look_of(), CPU).batches([], None)) == []
    assert list(LoaderImages(IMAGES, look_of(), CPU, 1).batches([], None)) == []
