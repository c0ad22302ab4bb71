"""ImageNet's images of some classes, from folders or straight from the archives as image-net.org gives them out."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

from common.errors import UsageError
from common.foreign_text import one_line
from common.storage.data_folders import is_foreign
from common.storage.text_files import lines_of, text_of
from preprocess.imagenet100 import class_folders, images_of

TRAIN_ARCHIVE = "ILSVRC2012_img_train.tar"
VAL_ARCHIVE = "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"


class Source(Protocol):
    """Where images come from; split is 'train' or 'val'."""

    def names(self, split: str, wnids: Sequence[str]) -> dict[str, list[str]]:
        """{class: names of its images, sorted}. Raises: UsageError naming what is missing."""

    def read(self, split: str, wnid: str, name: str) -> bytes:
        """The content of one file."""


def open_source(path: Path) -> Source:
    """The folder `path` by what is in it: train/ or val/, or archives. Raises: UsageError where neither is there."""
    if (path / "train").is_dir() or (path / "val").is_dir():
        return Folders(path)
    if (path / TRAIN_ARCHIVE).is_file() or (path / VAL_ARCHIVE).is_file():
        return Archives(path)
    raise UsageError(
        f"--imagenet_path {path} holds neither train/ and val/ with one folder a class, nor {TRAIN_ARCHIVE}, "
        f"{VAL_ARCHIVE} and {DEVKIT}; `python -m data list imagenet` says how to get these"
    )


class Folders:
    """<root>/{train,val}/<wnid>/<image>."""

    def __init__(self, root: Path):
        self.root = root

    def names(self, split: str, wnids: Sequence[str]) -> dict[str, list[str]]:
        """Names of the files in the class's folders. Raises: UsageError for classes without images."""
        there = class_folders(self.root / split)
        found = {wnid: [image.name for image in images_of(there[wnid])] for wnid in wnids if wnid in there}
        missing = [wnid for wnid in wnids if not found.get(wnid)]
        if missing:
            raise UsageError(
                f"{self.root / split} has no images of {len(missing)} of {len(wnids)} classes: "
                f"{', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}; unpack the whole of ImageNet there"
            )
        return found

    def read(self, split: str, wnid: str, name: str) -> bytes:
        """The file `<root>/<split>/<wnid>/<name>`."""
        return (self.root / split / wnid / name).read_bytes()


class Archives:
    """The three archives, read in place: a member is found by its offset, nothing is unpacked."""

    def __init__(self, root: Path):
        self.root = root
        self.members: dict[tuple[str, str, str], tuple[int, int]] = {}  # offset and size in the archive of the split
        self.files: dict[str, IO[bytes]] = {}

    def names(self, split: str, wnids: Sequence[str]) -> dict[str, list[str]]:
        """Names of the archive's members, found in one pass. Raises: UsageError for one that is missing or damaged."""
        path = self.root / (TRAIN_ARCHIVE if split == "train" else VAL_ARCHIVE)
        if not path.is_file():
            raise UsageError(f"there is no {path}; `python -m data list imagenet` says how to get it")
        self.files[split] = open(path, "rb")  # noqa: SIM115 - read from later, until the program ends
        try:
            found = self._train(path, wnids) if split == "train" else self._val(path, wnids)
        except (tarfile.TarError, EOFError) as error:
            raise UsageError(f"{path} is not a whole archive ({error}); download it again") from error
        for wnid, places in found.items():
            self.members |= {(split, wnid, name): place for name, place in places.items()}
        missing = [wnid for wnid in wnids if not found.get(wnid)]
        if missing:
            raise UsageError(f"{path} has no images of {', '.join(missing[:5])}; get it again")
        return {wnid: sorted(found[wnid]) for wnid in wnids}

    def read(self, split: str, wnid: str, name: str) -> bytes:
        """The bytes of the member, from its place in the archive; `names` of this split comes first."""
        offset, size = self.members[split, wnid, name]
        self.files[split].seek(offset)
        return self.files[split].read(size)

    def _train(self, path: Path, wnids: Sequence[str]) -> dict[str, dict[str, tuple[int, int]]]:
        """An archive of archives, one a class."""
        found = {}
        with tarfile.open(path, "r:") as outer:
            for member in members_of(outer):
                wnid = Path(member.name).stem
                if wnid in wnids:
                    with tarfile.open(fileobj=outer.extractfile(member), mode="r:") as inner:
                        start = member.offset_data
                        found[wnid] = {
                            image.name: (start + image.offset_data, image.size) for image in members_of(inner)
                        }
        return found

    def _val(self, path: Path, wnids: Sequence[str]) -> dict[str, dict[str, tuple[int, int]]]:
        """50,000 files; their classes are in the devkit."""
        classes = validation_classes(self.root / DEVKIT)
        with tarfile.open(path, "r:") as archive:
            images = sorted(members_of(archive), key=lambda member: member.name)
        if len(images) != len(classes):
            raise UsageError(f"{path} holds {len(images)} images, the devkit has {len(classes)} labels; get both again")
        found: dict[str, dict[str, tuple[int, int]]] = {}
        for image, wnid in zip(images, classes, strict=True):
            if wnid in wnids:
                found.setdefault(wnid, {})[image.name] = (image.offset_data, image.size)
        return found


def members_of(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """All of them but what another program added, ._a.JPEG for one.

    Raises: tarfile.ReadError for a damaged header, which tarfile itself takes for the end.
    """
    members = [member for member in archive.getmembers() if not is_foreign(Path(member.name).name)]
    assert archive.fileobj is not None  # it is open
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("no header and no end where there must be one")
    return members


def validation_classes(devkit: Path) -> list[str]:
    """The class of every validation image, in the order of their names. Raises: UsageError without the devkit."""
    from scipy.io import loadmat

    if not devkit.is_file():
        raise UsageError(f"there is no {devkit}, which holds the validation labels; get it beside {VAL_ARCHIVE}")
    try:
        with tarfile.open(devkit) as archive:
            parts = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}
            table = archive.extractfile(parts["meta.mat"])
            numbers = archive.extractfile(parts[GROUND_TRUTH])
            assert table is not None
            assert numbers is not None
            synsets = loadmat(table, squeeze_me=True)["synsets"]
            classes = zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)
            wnids = {int(number): str(wnid) for number, wnid in classes}
            lines = lines_of(text_of(numbers.read(), GROUND_TRUTH))
        return [wnids[int(line)] for line in lines if line.strip()]
    except Exception as error:  # whatever tarfile, zlib and scipy meet in a damaged file
        raise UsageError(f"{devkit} is damaged ({type(error).__name__}: {one_line(error)}); get it again") from error
