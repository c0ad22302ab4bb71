"""Animal-10N: 64×64 photographs whose labels, given by people, are wrong for about 8 in 100."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from common.errors import UsageError
from common.paths import data_dir as default_data_dir
from common.storage.data_folders import files_below, say_left_out
from common.storage.image_files import open_rgb
from re_sln.datasets.image_folder import folder_fingerprint, read_images, refuse_files
from re_sln.datasets.training_set import Data
from re_sln.images.normalisation import normalisation

CLASS_NAMES = (
    "cat",
    "lynx",
    "wolf",
    "coyote",
    "cheetah",
    "jaguar",
    "chimpanzee",
    "orangutan",
    "hamster",
    "guinea pig",
)
SIZE, TRAINED_SIZE = 64, 32
SUFFIXES = (".jpg", ".jpeg", ".png")


def find_animal10n(data_dir: str | Path | None = None) -> Path:
    """The folder that holds training/ and testing/. Raises: UsageError, saying how to get them."""
    root = default_data_dir(data_dir)
    for folder in (root / "animal-10n", root):
        if (folder / "training").is_dir() and (folder / "testing").is_dir():
            return folder
    raise UsageError(
        f"Animal-10N is not here: no training/ and testing/ in {root / 'animal-10n'}. Ask its authors for "
        "raw_image_ver.zip (https://dm.kaist.ac.kr/datasets/animal-10n/), then `python -m data import "
        "raw_image_ver.zip`, or say in $DATA_DIR where it is."
    )


def read_animal10n(data_dir: str | Path | None = None) -> tuple[list[Path], np.ndarray, list[Path], np.ndarray]:
    """(training files, their labels int64, test files, their labels int64), by file name.

    A label is the number before the first `_` of the name. Raises: UsageError, naming misnamed files.
    """
    root = find_animal10n(data_dir)
    (train, train_labels), (test, test_labels) = (_part(root / part) for part in ("training", "testing"))
    return train, train_labels, test, test_labels


def _part(folder: Path) -> tuple[list[Path], np.ndarray]:
    left_out: list[str] = []
    paths = sorted(files_below(folder, SUFFIXES, left_out))
    say_left_out(folder, left_out)
    if not paths:
        raise UsageError(f"{folder} holds no images; unpack raw_image_ver.zip again with `python -m data import`")
    known = {str(label): label for label in range(len(CLASS_NAMES))}
    starts = [path.name.partition("_")[0] for path in paths]
    refuse_files(
        [str(path) for path, start in zip(paths, starts, strict=True) if start not in known],
        "have a name that does not begin with a label 0…9 and `_`",
    )
    return paths, np.array([known[start] for start in starts], np.int64)


def describe_animal10n(data_dir: str | Path | None = None) -> str:
    """Fingerprint of the files. Raises: UsageError naming those that are not images of 64×64."""
    train, _, test, _ = read_animal10n(data_dir)
    paths = [*train, *test]
    _refuse_sizes(paths, read_images(paths, "checking images", lambda path: open_rgb(path).size))
    return folder_fingerprint(paths, find_animal10n(data_dir))


def shrink(images: np.ndarray) -> np.ndarray:
    """Uint8 [64, 64, 3] → [32, 32, 3], bilinear, as torchvision resizes files: smoothed before it is thinned out."""
    return np.asarray(Image.fromarray(images).resize((TRAINED_SIZE, TRAINED_SIZE), Image.Resampling.BILINEAR))


def load_animal10n(data_dir: str | Path | None, norm: str) -> Data:
    """All images at 32×32; mean and std are of the 64×64 ones. Raises: UsageError."""
    train, train_labels, test, test_labels = read_animal10n(data_dir)
    full = np.stack(_read(train, "training images"))
    mean, std = normalisation("animal-10n", norm, full)
    tests = np.stack([shrink(image) for image in _read(test, "test images")])
    version = "official counts" if (len(train), len(test)) == (50000, 5000) else "other counts than the official ones"
    return Data(
        train=np.stack([shrink(image) for image in full]),
        given=train_labels,
        is_noisy=np.zeros(len(train), bool),
        knows_noise=False,
        test_images={"test": tests},
        tests={"test": test_labels},
        class_names=CLASS_NAMES,
        mean=mean,
        std=std,
        name="animal-10n",
        version=f"{len(train)} + {len(test)} images, {version}",
        fingerprint=folder_fingerprint([*train, *test], find_animal10n(data_dir)),
    )


def _read(paths: list[Path], what: str) -> list[np.ndarray]:
    images = read_images(paths, what)
    _refuse_sizes(paths, [(image.shape[1], image.shape[0]) for image in images])
    return images


def _refuse_sizes(paths: list[Path], sizes: list[tuple[int, int]]) -> None:
    refuse_files(
        [f"{path} ({size[0]}×{size[1]})" for path, size in zip(paths, sizes, strict=True) if size != (SIZE, SIZE)],
        f"are not {SIZE}×{SIZE}",
    )
