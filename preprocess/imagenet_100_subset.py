"""ImageNet-100: the images of 100 classes of ImageNet, train and val, as links or copies."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.errors import UsageError
from common.flags import flag
from common.storage.data_folders import entries
from common.storage.files import atomic_write
from data.imagenet100 import WNIDS
from preprocess import program
from preprocess.imagenet100 import class_folders, images_of, refuse_missing
from preprocess.tree_copies import LINKS, mirror, refuse_same

NAME = "imagenet100"
VAL_IMAGES = 50
TRAIN_IMAGES = (732, 1300)


@dataclass(frozen=True)
class Flags:
    """The command line."""

    imagenet_path: str = flag(
        "", "ImageNet: a folder with train/ and val/, one folder per class in each", group="trees"
    )
    imagenet100_path: str = flag("", "folder to write ImageNet-100 to", group="trees")
    link: str = flag("symlink", "how an image is placed", choices=LINKS, group="trees")
    jobs: int = flag(8, "files placed in parallel", group="work")


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 the counts do not agree, 2 a mistake in flags or trees, 130 stopped."""
    flags = program.parse(Flags, argv, "imagenet_100_subset", __doc__ or "")
    return program.guarded(lambda: make_subset(flags), "--imagenet100_path")


def make_subset(flags: Flags) -> None:
    """Makes train/ and val/ of the 100 classes. Raises: UsageError, before the work, where one is missing."""
    program.refuse_absent(imagenet_path=flags.imagenet_path, imagenet100_path=flags.imagenet100_path)
    source, target = Path(flags.imagenet_path).absolute(), Path(flags.imagenet100_path).absolute()
    refuse_same(source, target, "imagenet100_path")
    splits = {}
    for split in ("train", "val"):
        splits[split] = class_folders(source / split)
        refuse_missing(source / split, splits[split])
    usual = True
    for split, there in splits.items():
        _refuse_other_classes(target / split)
        folders = {target / split / wnid: there[wnid].resolve() for wnid in WNIDS}
        count = mirror(folders, flags.link, program.jobs_of(flags.jobs), split)
        print(f"{target / split}: {count:,} images of {len(WNIDS)} classes ({flags.link})")
        usual &= _usual(split, {wnid: len(images_of(folder)) for wnid, folder in there.items() if wnid in WNIDS})
    if usual:  # what a run on these images says that it was trained on
        atomic_write(target / "NAME", NAME + "\n")


def _refuse_other_classes(folder: Path) -> None:
    there = entries(folder, []) if folder.is_dir() else []
    others = [entry.name for entry in there if entry.is_dir() and entry.name not in WNIDS]
    if others:
        raise UsageError(
            f"{folder} holds folders of other classes ({', '.join(others[:5])}): training would count them in; "
            "choose an empty --imagenet100_path, or move them away"
        )


def _usual(split: str, counts: dict[str, int]) -> bool:
    """Whether there are as many images as ImageNet has; says where not."""
    low, high = TRAIN_IMAGES if split == "train" else (VAL_IMAGES, VAL_IMAGES)
    odd = [f"{wnid} ({count})" for wnid, count in sorted(counts.items()) if not low <= count <= high]
    if odd:
        usual = f"{low}" if low == high else f"{low} to {high}"
        print(
            f"warning: ImageNet has {usual} {split} images a class; not so {len(odd)}: {', '.join(odd[:5])}"
            f"{', …' if len(odd) > 5 else ''}",
            file=sys.stderr,
        )
    return not odd


if __name__ == "__main__":
    sys.exit(main())
