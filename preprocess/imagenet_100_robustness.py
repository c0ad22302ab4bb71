"""ImageNet-C, ImageNet-Sketch, Stylized-ImageNet and ImageNet-R, restricted to the 100 classes of ImageNet-100."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.errors import UsageError
from common.flags import flag
from common.storage.data_folders import entries
from data.imagenet100 import WNIDS
from data.imagenet_c import CORRUPTIONS, SEVERITIES
from preprocess import program
from preprocess.imagenet100 import class_folders, images_of, refuse_missing
from preprocess.tree_copies import LINKS, mirror, refuse_same

SETS = ("imagenet-c", "imagenet-sketch", "stylized-imagenet", "imagenet-r")


@dataclass(frozen=True)
class Flags:
    """The command line."""

    set: str = flag("", "which test set", choices=SETS, group="trees")
    source_path: str = flag("", "folder of the full test set, unpacked", group="trees")
    subset_path: str = flag("", "folder to write the images of the 100 classes to", group="trees")
    link: str = flag("symlink", "how an image is placed", choices=LINKS, group="trees")
    jobs: int = flag(8, "files placed in parallel", group="work")


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 the counts do not agree, 2 a mistake in flags or trees, 130 stopped."""
    flags = program.parse(Flags, argv, "imagenet_100_robustness", __doc__ or "")
    return program.guarded(lambda: make_subset(flags), "--subset_path")


def make_subset(flags: Flags) -> None:
    """Makes the tree and says what is in it. Raises: UsageError, before the work, where something is missing."""
    if not flags.set:
        raise UsageError(f"--set is not given; choose one of {', '.join(SETS)}")
    program.refuse_absent(source_path=flags.source_path, subset_path=flags.subset_path)
    source, target = Path(flags.source_path).absolute(), Path(flags.subset_path).absolute()
    refuse_same(source, target, "subset_path")
    parts = PARTS[flags.set](source)
    folders: dict[Path, Path] = {}
    classes: set[str] = set()
    for part, folder in parts.items():
        there = class_folders(folder)
        if flags.set == "imagenet-r":
            _say_renditions(folder, there)
        else:
            refuse_missing(folder, there)
        chosen = {target / part / wnid: there[wnid].resolve() for wnid in WNIDS if wnid in there}
        _refuse_empty(chosen)
        folders |= chosen
        classes |= {path.name for path in chosen}
    count = mirror(folders, flags.link, program.jobs_of(flags.jobs), flags.set)
    print(f"{target}: {count:,} images of {len(classes)} classes ({flags.link})")


def corrupted_parts(source: Path) -> dict[str, Path]:
    """`<corruption>/<severity>` → folder, of the 15 corruptions that the mean is over.

    The archives are unpacked side by side or each in its own folder (noise/, blur/, …). Raises: UsageError naming the
    missing corruptions and severities.
    """
    if not source.is_dir():
        raise UsageError(f"there is no folder {source}; unpack ImageNet-C there")
    top = _folders_in(source)
    places = {path.name: path for path in (*(inner for path in top for inner in _folders_in(path)), *top)}
    wanted = {
        f"{name}/{level}": places.get(name, source / name) / str(level) for name in CORRUPTIONS for level in SEVERITIES
    }
    missing = [part for part, folder in wanted.items() if not folder.is_dir()]
    if missing:
        raise UsageError(
            f"{source} lacks {len(missing)} of the 75 corruptions and severities that the mean is over: "
            f"{', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}; unpack noise.tar, blur.tar, weather.tar and "
            "digital.tar there"
        )
    return wanted


def _folders_in(folder: Path) -> list[Path]:
    return [folder / entry.name for entry in entries(folder, []) if entry.is_dir()]


def _whole(source: Path) -> dict[str, Path]:
    return {".": source}


def _validation(source: Path) -> dict[str, Path]:
    return {".": source / "val" if (source / "val").is_dir() else source}


PARTS = {
    "imagenet-c": corrupted_parts,
    "imagenet-sketch": _whole,
    "stylized-imagenet": _validation,
    "imagenet-r": _whole,
}


def _say_renditions(folder: Path, there: dict[str, Path]) -> None:
    common = [wnid for wnid in WNIDS if wnid in there]
    if not common:
        raise UsageError(f"{folder} holds {len(there)} classes, none of them one of the 100; is this ImageNet-R?")
    print(f"{len(common)} of its {len(there)} classes are among the 100: {', '.join(common)}")


def _refuse_empty(folders: dict[Path, Path]) -> None:
    empty = [str(folder) for folder in folders.values() if not images_of(folder)]
    if empty:
        raise UsageError(f"no image in {', '.join(empty[:5])}; unpack the archive again")


if __name__ == "__main__":
    sys.exit(main())
