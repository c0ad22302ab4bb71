"""A folder that holds code and data, to be carried to a machine that has a GPU and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from common.errors import DataError, UsageError
from common.paths import data_dir as default_data_dir
from common.paths import repo_root
from common.records.provenance import COMMIT, ask_git, git_state, is_repository
from common.storage.files import atomic_write
from data.cifar import load_cifar
from reproduce.gpu.jpeg_images import IMAGES, INDEX, NAME, decode, encode

CODE = ("common", "data", "re_sln", "moco_nonsem", "benchmarks", "reproduce", "LICENSE", "README.md")
PACKED, LABELS = "packed", "label_noisy/cifar10"
NOISES = ("sym", "asym", "dependent")
LARGEST = 64 * 2**20  # bytes
PHOTOGRAPHS, MOST_PHOTOGRAPHS = "photographs", 256


def pack(folder: Path, data_dir: Path | None, jpegs: Path | None, labels: Path | None, photographs: Path | None) -> int:
    """Fills a new folder; returns its size in bytes.

    data_dir: holds CIFAR-10 and the noise files; jpegs: a folder of IMAGES and INDEX, to be taken instead of images
    that are encoded now; labels: a folder of the authors' noise files; photographs: JPEG files for the views of MoCo.
    Raises: UsageError for a folder that is there, and for one that grows too large; DataError for missing data.
    """
    if folder.exists():
        raise UsageError(f"--pack={folder} is there already: name a new folder")
    building = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(building, ignore_errors=True)
    for path in _tracked():
        (building / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repo_root() / path, building / path)
    atomic_write(building / COMMIT, json.dumps(git_state()) + "\n")
    data, packed = default_data_dir(data_dir), building / PACKED
    _pack_images(data, jpegs, packed / NAME)
    _copy([(labels or data / LABELS) / f"{noise}0.4.csv" for noise in NOISES], packed / LABELS)
    if photographs:
        found = sorted(path for path in photographs.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        _copy(found[:MOST_PHOTOGRAPHS], packed / PHOTOGRAPHS)
    size = sum(path.stat().st_size for path in building.rglob("*") if path.is_file())
    if size > LARGEST:
        raise UsageError(f"{building} has {size / 2**20:.0f} MiB, at most 64 are meant: leave out the photographs")
    os.replace(building, folder)
    return size


def unpack(root: Path, data_dir: Path | None) -> Path:
    """The folder to train from: `data_dir`, or what this root was packed with, laid out below data/cache."""
    if data_dir or not (root / PACKED).is_dir():
        return default_data_dir(data_dir)
    unpacked = root / "data" / "cache" / PACKED
    if not (unpacked / "cifar-10-batches-py" / "NAME").is_file():
        decode(root / PACKED / NAME, unpacked)
    _copy(sorted((root / PACKED / LABELS).iterdir()), unpacked / LABELS)
    return unpacked


def _tracked() -> list[str]:
    """The files of CODE that git knows. Raises: UsageError."""
    listed = ask_git("ls-files", "-z", "--", *CODE) if is_repository() else None
    if listed is None or listed.returncode:
        raise UsageError(f"{repo_root()} is no git repository, or git is missing: pack from a clone")
    return [path for path in listed.stdout.split("\0") if path and (repo_root() / path).is_file()]


def _pack_images(data: Path, jpegs: Path | None, folder: Path) -> None:
    if jpegs:
        _copy([jpegs / IMAGES, jpegs / INDEX], folder)
        return
    dataset = load_cifar("cifar10", data, allow_unverified=True)
    if dataset.name == NAME:
        raise UsageError(
            f"the images in {data} went through JPEG once already: name the folder of {IMAGES} with --jpegs, or the "
            "official images with --data_dir"
        )
    encode(dataset, folder)


def _copy(files: list[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        if not path.is_file():
            raise DataError(f"{path} is not here: fetch it (make data-cifar10), or name its folder")
        shutil.copyfile(path, folder / path.name)
