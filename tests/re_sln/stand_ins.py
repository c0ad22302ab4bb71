"""Every data set of re_sln in its official layout, small and made up, named as what it is."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from data.cifar import load_cifar
from re_sln.datasets import animal10n, clothing1m
from tests.data.standin import write_cifar


def write_noise(folder: Path, dataset_name: str, mode: str, p: float = 0.4) -> None:
    """`label_noisy/<data set>/<mode><p>.csv` with the columns of the authors' files, for the stand-in there."""
    labels = load_cifar(dataset_name, folder, allow_unverified=True).train_labels
    classes = {"cifar10": 10, "cifar100": 100}[dataset_name]
    rng = np.random.default_rng(1)
    noisy = np.where(rng.random(len(labels)) < p, (labels + rng.integers(1, classes, len(labels))) % classes, labels)
    path = folder / "label_noisy" / dataset_name / f"{mode}{p}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "label_noisy"])
        writer.writerows(zip(labels.tolist(), noisy.tolist(), strict=True))


def write_animal10n(folder: Path, train: int = 40, test: int = 20) -> None:
    """`animal-10n/{training,testing}`: JPEGs of 64×64 named `<label>_<number>.jpg`."""
    rng = np.random.default_rng(2)
    for part, count in (("training", train), ("testing", test)):
        place = folder / "animal-10n" / part
        place.mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number % len(animal10n.CLASS_NAMES)}_{number:05d}.jpg")


def write_clothing1m(folder: Path, train: int = 28, held_out: int = 14) -> None:
    """`clothing1m/{images,annotations}`: photographs of several shapes, and the three lists."""
    rng = np.random.default_rng(3)
    root = folder / "clothing1m"
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    for name, count in zip(clothing1m.LISTS, (train, held_out, held_out), strict=True):
        lines = []
        for number in range(count):
            shape = (260 + 7 * (number % 3), 300 - 9 * (number % 4), 3)
            path = f"images/{name}_{number}.jpg"
            Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(root / path)
            lines.append(f"{path} {number % len(clothing1m.CLASS_NAMES)}\n")
        (root / "annotations" / f"{name}.txt").write_text("".join(lines))


def write_all(folder: Path, train: int = 200, test: int = 50) -> None:
    """All of them below one folder, as $DATA_DIR."""
    for name in ("cifar10", "cifar100"):
        write_cifar(folder, name, train=train, test=test)
        for mode in ("sym", "asym", "dependent"):
            write_noise(folder, name, mode)
    write_animal10n(folder)
    write_clothing1m(folder)
