"""A picture of what pre-training sees: query, key, patch and texture views of some training images, a row each.

    python view_sheet.py DATA --out views.png

DATA as for moco-non-sem-neg.py: a folder with train/, or the tree of textures, NAME-texture, for the row of textures.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a file: its own folder must not shadow the packages beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.errors import UsageError
from common.flags import Parser
from common.program import guarded
from common.storage.files import atomic_path
from moco_nonsem.views.view_recipe import PUBLISHED_PATCH_RATIO

MARGIN, CAPTION = 4, 60
MOST, LARGEST_IMAGE = 100, 1024  # a picture that a screen shows
LEAST_SIDE = 96  # smaller views are shown several times as large


def main(argv: list[str] | None = None) -> int:
    """Writes the picture. Returns the exit code: 0, or 2 for a mistake in flags or data."""
    parser = Parser(prog="view_sheet", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with train/; NAME-texture for textures, too")
    parser.add_argument("--out", type=Path, default=Path("views.png"), help="PNG file to write [views.png]")
    parser.add_argument("--images", type=int, default=8, help="how many images, a column each [8]")
    parser.add_argument("--image-size", type=int, default=224, help="side of a view in pixels [224]")
    parser.add_argument(
        "--patch-ratio", type=int, nargs=2, default=PUBLISHED_PATCH_RATIO, help="smallest and largest patch [16 72]"
    )
    parser.add_argument(
        "--aug-plus", action=argparse.BooleanOptionalAction, default=True, help="MoCo v2's augmentation"
    )
    parser.add_argument("--texture-draw", choices=("seed", "aligned"), default="seed", help="[seed]")
    parser.add_argument("--loader", choices=("device", "reference"), default="device", help="[device]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epoch", type=int, default=0)
    options = parser.parse_args(argv)
    return guarded(lambda: _write(options), "stopped", places="--out")


def _write(options: argparse.Namespace) -> None:
    picture = sheet(options)
    with atomic_path(options.out) as path, path.open("wb") as file:
        file.write(picture)
    print(options.out)


def sheet(options: argparse.Namespace) -> bytes:
    """The PNG. Raises: UsageError."""
    import torch

    from common.pytorch.process_group import Group
    from moco_nonsem.images.image_tree import TEXTURE_TREE, training_tree
    from moco_nonsem.images.workers import Reading
    from moco_nonsem.views.loader import ViewLoader
    from moco_nonsem.views.view_recipe import ViewRecipe

    for name, value, most in (("images", options.images, MOST), ("image-size", options.image_size, LARGEST_IMAGE)):
        if not 1 <= value <= most:
            raise UsageError(f"--{name}={value}: 1 to {most}")
    textured = options.data.absolute().name.endswith(TEXTURE_TREE)
    tree = training_tree(options.data, "texture" if textured else "none")
    shared = {"size": options.image_size, "aug_plus": options.aug_plus}
    recipes = {"patch": ViewRecipe(robust="patch", patch_ratio=tuple(options.patch_ratio), **shared)}
    if textured:
        recipes["texture"] = ViewRecipe(robust="texture", texture_draw=options.texture_draw, **shared)
    for recipe in recipes.values():
        recipe.check()
    count = min(options.images, len(tree))
    reading = Reading(
        batch_size=count,
        workers=0,
        seed=options.seed,
        group=Group(0, 1, torch.device("cpu")),
        kind=options.loader,
    )
    rows: dict[str, torch.Tensor] = {}
    for name, recipe in recipes.items():  # the draws are keyed, so both show the same query and key
        views = next(ViewLoader(tree, recipe, reading).batches(options.epoch))
        rows |= {"query": views.query, "key": views.key, name: views.nonsem[0]}
    return png(rows)


def png(rows: dict) -> bytes:
    """A picture, a captioned row for each entry of `rows`: float32 [B, 3, size, size], normalised."""
    import numpy as np
    from PIL import Image, ImageDraw

    from moco_nonsem.images.normalisation import denormalise

    side = next(iter(rows.values())).shape[-1]
    size = side * max(1, LEAST_SIDE // side)
    step, count = size + MARGIN, max(map(len, rows.values()))
    canvas = Image.new("RGB", (CAPTION + count * step, len(rows) * step + MARGIN), "white")
    for row, (name, views) in enumerate(rows.items()):
        top = MARGIN + row * step
        ImageDraw.Draw(canvas).text((MARGIN, top + size // 2), name, fill="black")
        for column, view in enumerate(denormalise(views.cpu()).permute(0, 2, 3, 1).numpy()):
            shown = Image.fromarray(np.ascontiguousarray(view)).resize((size, size), Image.Resampling.NEAREST)
            canvas.paste(shown, (CAPTION + column * step, top))
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
