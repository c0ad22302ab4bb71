"""`shapes-textures`: shapes filled with textures, on which it shows whether a network goes by shape or by texture.

The class is the shape. Each class has its own texture; the share of a class's images that are filled with it is
--agreement. The program writes a tree of three sets: train/ (at the rate asked for), val/ (every image has its class's
texture) and conflict/ (none has); a file is `<set>/<shape>/<shape>_<texture>_<number>.png`.
With --textures it also writes PATH-texture/train/: of each image of train/ its texture from border to border, without a
shape, which are texture negatives for moco_nonsem.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from PIL import Image

from common.errors import Interrupted, UsageError, WorkFailed
from common.flags import flag
from common.random_streams import generator
from common.stopping import stop_signals
from common.storage.data_folders import files_below, say_left_out
from common.storage.files import atomic_path, atomic_write
from preprocess import program
from preprocess.progress import progress_bar
from preprocess.shape_masks import SHAPES, shape_mask
from preprocess.texture_fills import TEXTURES, TURN, rgb_of_hsv, texture_fill

SHAPE_NAMES, TEXTURE_NAMES = tuple(SHAPES), tuple(TEXTURES)
CLASSES = len(SHAPE_NAMES)
MOST = 10_000_000  # images of a part
COLOURS = ("texture", "random")
CHUNK = 256
NAME, SETTINGS = "shapes-textures", "shapes-textures.json"


@dataclass(frozen=True)
class Flags:
    """The command line."""

    path: str = flag("", "folder to write the tree to", group="tree")
    train: int = flag(4096, "images in train/", group="tree")
    val: int = flag(1024, "images in val/, all with the texture of their class", group="tree")
    conflict: int = flag(1024, "images in conflict/, none with the texture of its class", group="tree")
    textures: bool = flag(False, "also write PATH-texture: the texture alone of each image of train/", group="tree")
    sheet: str = flag("", "only write this PNG with every shape in every texture", group="tree")
    agreement: float = flag(1.0, "fraction of train/ images with the texture of their class", group="images")
    size: int = flag(40, "side of an image in pixels", group="images")
    colour: str = flag(
        "texture", "hue by texture, or at random so that only the pattern tells textures apart", COLOURS, group="images"
    )
    seed: int = flag(0, "random seed of every draw", group="images")


def make_images(
    count: int, size: int, seed: int, agreement: float, purpose: str = "train", colour: str = "texture"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first `count` images of a set; image n depends only on (seed, purpose, n, agreement).

    agreement: share of each class's images with the class's own texture, met exactly and spread evenly; the others have
    every other texture equally often. At another rate the same image differs in its texture only.

    Returns: images uint8 [N, size, size, 3]; shapes int64 [N], 0…7; textures int64 [N], 0…7. Texture k is class k's.
    """
    shapes, textures = labels(count, agreement)
    return draw(shapes, textures, size, seed, purpose, colour), shapes, textures


def labels(count: int, agreement: float) -> tuple[np.ndarray, np.ndarray]:
    """Shapes and textures of the first `count` images: int64 [N] each. Raises: UsageError for a rate outside 0…1."""
    if not 0 <= agreement <= 1:
        raise UsageError(f"--agreement {agreement}: a share is between 0 (no image agrees) and 1 (every image does)")
    rate = Fraction(str(agreement))
    place = np.arange(count) // CLASSES  # within the class
    agreeing_before = np.array([int(rate * n) for n in range(place.max(initial=0) + 2)])
    agrees = agreeing_before[place + 1] > agreeing_before[place]
    conflicts_before = place - agreeing_before[place]
    shapes = np.arange(count) % CLASSES
    others = (shapes + 1 + conflicts_before % (CLASSES - 1)) % CLASSES
    return shapes, np.where(agrees, shapes, others)


def draw(
    shapes: np.ndarray,
    textures: np.ndarray,
    size: int,
    seed: int,
    purpose: str,
    colour: str = "texture",
    start: int = 0,
    alone: bool = False,
) -> np.ndarray:
    """The images number start, start + 1, … of these shapes and textures. Returns: uint8 [N, size, size, 3].

    alone: the texture of each covers its whole image.
    """
    images = np.empty((len(shapes), size, size, 3), dtype=np.uint8)
    for first in range(0, len(shapes), CHUNK):
        part = slice(first, min(first + CHUNK, len(shapes)))
        numbers = range(start + part.start, start + part.stop)
        random = [generator(seed, f"shapes_textures {purpose}", number) for number in numbers]
        scalars = np.stack([each.random(24) for each in random])
        fields = np.stack([each.random((2, size, size)) for each in random])
        images[part] = _paint(shapes[part], textures[part], size, colour, scalars, fields, alone)
    return images


def _paint(
    shapes: np.ndarray,
    textures: np.ndarray,
    size: int,
    colour: str,
    draws: np.ndarray,
    fields: np.ndarray,
    alone: bool,
) -> np.ndarray:
    """uint8 [B, size, size, 3] from uniform draws [B, 24] and [B, 2, size, size]."""
    radius = size * (0.32 + 0.14 * draws[:, 0])
    centre = radius[:, None] + draws[:, 1:3] * (size - 2 * radius)[:, None]
    period, origin = size * (0.13 + 0.05 * draws[:, 3]), size * draws[:, 4:6]
    mask, light = np.empty((2, len(shapes), size, size))
    for shape in np.unique(shapes):
        at = shapes == shape
        mask[at] = shape_mask(SHAPE_NAMES[shape], size, centre[at], radius[at], TURN * draws[at, 6])
    for texture in np.unique(textures):
        at = textures == texture
        light[at] = texture_fill(
            TEXTURE_NAMES[texture], size, period[at], TURN * draws[at, 7], origin[at], fields[at, 0]
        )
    own = textures / len(TEXTURE_NAMES) + 0.08 * (draws[:, 8] - 0.5)
    hue = own if colour == "texture" else draws[:, 9]
    bright = rgb_of_hsv(hue, 0.35 + 0.45 * draws[:, 10], 0.85 + 0.15 * draws[:, 11])[:, None, None]
    dark = rgb_of_hsv(hue + 0.1 * (draws[:, 12] - 0.5), 0.5 + 0.5 * draws[:, 13], 0.15 + 0.2 * draws[:, 14])
    fill = dark[:, None, None] + light[..., None] * (bright - dark[:, None, None])
    image = _background(size, draws[:, 15:21], fields[:, 1])
    image += (1 if alone else mask[..., None]) * (fill - image)
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _background(size: int, draws: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """A slope of one tint with a little noise: [B, size, size, 3] in about 0…1. Args: draws [B, 6]; noise [B, H, W]."""
    line = np.linspace(-1, 1, size)
    slope = draws[:, 0, None, None] - 0.5, draws[:, 1, None, None] - 0.5
    grey = 0.35 + 0.3 * draws[:, 2, None, None] + 0.3 * (slope[0] * line[:, None] + slope[1] * line)
    tint = 0.16 * (draws[:, 3:6] - 0.5)
    return (grey + 0.08 * (noise - 0.5))[..., None] + tint[:, None, None]


def sheet(size: int, seed: int, colour: str = "texture") -> np.ndarray:
    """Every shape (rows) with every texture (columns), agreeing pairs on the diagonal: uint8 [8·size, 8·size, 3]."""
    shapes, textures = np.divmod(np.arange(CLASSES * CLASSES), CLASSES)
    images = draw(shapes, textures, size, seed, "sheet", colour)
    return images.reshape(CLASSES, CLASSES, size, size, 3).swapaxes(1, 2).reshape(CLASSES * size, CLASSES * size, 3)


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 the counts do not agree, 2 a mistake in the flags, 130 stopped."""
    flags = program.parse(Flags, argv, "shapes_textures", __doc__ or "")
    return program.guarded(lambda: write_sheet(flags) if flags.sheet else write_tree(flags), "--path or --sheet")


def _refuse(flags: Flags) -> None:
    if not 16 <= flags.size <= 512:
        raise UsageError(f"--size {flags.size}: shapes are drawn at 16 to 512 pixels a side")
    for name in ("train", "val", "conflict"):
        if not 0 <= getattr(flags, name) <= MOST:
            raise UsageError(f"--{name} {getattr(flags, name)}: a number of images is 0 to {MOST:,}")
    program.refuse_seed(flags.seed)
    labels(0, flags.agreement)


def write_sheet(flags: Flags) -> None:
    """Writes the picture of every shape with every texture. Raises: UsageError."""
    _refuse(flags)
    with atomic_path(flags.sheet) as temporary:
        Image.fromarray(sheet(flags.size, flags.seed, flags.colour)).save(temporary, format="PNG")
    print(flags.sheet)


def write_tree(flags: Flags) -> None:
    """Writes what is missing of the tree, then counts. Raises: UsageError, WorkFailed, Interrupted."""
    _refuse(flags)
    program.refuse_absent(path=flags.path)
    folder = Path(flags.path).absolute()
    sets = [("train", flags.agreement, folder), ("val", 1.0, folder), ("conflict", 0.0, folder)]
    if flags.textures:
        sets.append(("train", flags.agreement, folder.with_name(f"{folder.name}-texture")))
    for place in dict.fromkeys(place for _, _, place in sets):
        place.mkdir(parents=True, exist_ok=True)
        _same_settings(place, flags)
    total = sum(getattr(flags, purpose) for purpose, _, _ in sets)
    with stop_signals() as stopped, progress_bar(total, "shapes-textures") as bar:
        for purpose, rate, place in sets:
            shapes, textures = labels(getattr(flags, purpose), rate)
            names = [
                f"{SHAPE_NAMES[shape]}/{SHAPE_NAMES[shape]}_{TEXTURE_NAMES[texture]}_{number:05d}.png"
                for number, (shape, texture) in enumerate(zip(shapes, textures, strict=True))
            ]
            for first in range(0, len(names), CHUNK):
                part = slice(first, first + CHUNK)
                alone = place != folder
                _write_missing(place / purpose, names[part], flags, purpose, shapes[part], textures[part], first, alone)
                bar.update(len(names[part]))
                if stopped:
                    raise Interrupted(f"stopped in {purpose}/; run the same command to resume")
            _count_check(place / purpose, names)
            print(f"{place / purpose}: {len(names):,} images of {CLASSES} classes, agreement {rate:g}")


def _write_missing(
    folder: Path,
    names: list[str],
    flags: Flags,
    purpose: str,
    shapes: np.ndarray,
    textures: np.ndarray,
    start: int,
    alone: bool,
) -> None:
    if all((folder / name).exists() for name in names):
        return
    for shape in SHAPE_NAMES:
        (folder / shape).mkdir(parents=True, exist_ok=True)
    images = draw(shapes, textures, flags.size, flags.seed, purpose, flags.colour, start, alone)
    for name, image in zip(names, images, strict=True):
        if not (folder / name).exists():
            with atomic_path(folder / name) as temporary:
                Image.fromarray(image).save(temporary, format="PNG")


def _same_settings(folder: Path, flags: Flags) -> None:
    settings = {name: value for name, value in asdict(flags).items() if name not in ("path", "sheet", "textures")}
    path = folder / SETTINGS
    if not path.exists():
        atomic_write(folder / "NAME", NAME + "\n")  # what a run on these images says that it was trained on
        atomic_write(path, json.dumps(settings, indent=2, sort_keys=True) + "\n")
        return
    there = program.settings_in(path)
    differ = [name for name, value in settings.items() if there.get(name) != value]
    if differ:
        was = " ".join(f"--{name} {there.get(name)}" for name in differ)
        raise UsageError(f"{folder} was begun with {was}; give the same, or choose another --path")


def _count_check(folder: Path, names: list[str]) -> None:
    for leftover in folder.rglob(".*.tmp"):
        leftover.unlink()
    left_out: list[str] = []
    there = {path.relative_to(folder).as_posix() for path in files_below(folder, (".png",), left_out)}
    say_left_out(folder, left_out)
    if there != set(names):
        odd = min(there ^ set(names))
        raise WorkFailed(
            f"{folder} holds {len(there)} images, not {len(names)}, e.g. {odd}; move it away and run the command again"
        )


if __name__ == "__main__":
    sys.exit(main())
