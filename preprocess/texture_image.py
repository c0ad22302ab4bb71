"""From the file of a photograph to the file of its texture."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from common.children import output_of
from common.errors import UnreadableImage, WorkFailed
from common.random_streams import generator
from common.storage.files import atomic_path
from common.storage.image_files import open_rgb
from preprocess.quilting import quilt
from preprocess.texture_patches import enlarged, two_patches

SIZE = 224
PHOTOGRAPH, TEXTURE = ".JPEG", ".png"


@dataclass(frozen=True)
class Recipe:
    """What decides the pixels of a texture, given the photograph.

    tool: "builtin" (image quilting) or the path of EmbarkStudios' texture-synthesis.
    """

    seed: int = 0
    tool: str = "builtin"


def texture_of(folder: Path, name: str) -> Path:
    """Where the texture of the photograph `name`, a path in its tree, lies in the tree of textures."""
    return folder / (name.removesuffix(PHOTOGRAPH) + TEXTURE)


def try_texture(photographs: Path, textures: Path, recipe: Recipe, name: str) -> str | None:
    """Makes the texture of the photograph `name`. Returns: None, or why the photograph cannot be read."""
    try:
        make_texture(photographs / name, texture_of(textures, name), name, recipe)
    except UnreadableImage as error:
        return f"{photographs / name} ({error.why})"
    return None


def make_texture(photograph: Path, texture: Path, name: str, recipe: Recipe) -> None:
    """Writes the 224×224 texture of a photograph as PNG, whole or not at all.

    name: the photograph's path in its tree; the random numbers hang on it and the seed alone, so a texture is the same
    whoever makes it, in whatever order. Raises: UnreadableImage; WorkFailed where the external program fails.
    """
    random = generator(recipe.seed, "texture", int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big"))
    patches = two_patches(np.asarray(enlarged(open_rgb(photograph))), random)
    texture.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(texture) as temporary:
        # DEVIATION: the authors always call the external program; quilting replaces it where it is not installed.
        if recipe.tool == "builtin":
            pixels, _ = quilt(patches, SIZE, random)
            Image.fromarray(pixels).save(temporary, format="PNG")
        else:
            _external(recipe.tool, patches, temporary, int(random.integers(2**32)))


def _external(tool: str, patches: np.ndarray, output: Path, seed: int) -> None:
    """Multiresolution stochastic texture synthesis by EmbarkStudios' program; one thread, or its results vary."""
    with tempfile.TemporaryDirectory() as folder:
        examples = [str(Path(folder) / f"{number}.png") for number in range(len(patches))]
        for example, patch in zip(examples, patches, strict=True):
            Image.fromarray(patch).save(example)
        made = str(Path(folder) / "texture.png")
        command = [tool, "--out-size", str(SIZE), "--seed", str(seed), "--threads", "1", "--no-progress", "--out", made]
        run = output_of([*command, "generate", *examples])
        if run.returncode:
            raise WorkFailed(f"{tool} ended with {run.returncode}: {run.stderr.strip()[-300:]}")
        output.write_bytes(Path(made).read_bytes())
