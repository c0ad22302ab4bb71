"""Which cue decides where shape and texture disagree (arXiv 1811.12231)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from common.errors import UsageError
from moco_nonsem.images.image_tree import ImageTree


def cue_metrics(decisions: np.ndarray, shapes: np.ndarray, textures: np.ndarray) -> dict[str, float]:
    """Accuracies and shape bias of decisions [N], given each image's shape [N] and texture [N], all class numbers.

    cue_agree: share of right ones where shape and texture agree; cue_conflict: share that follow the shape where they
    do not; shape_bias: shape decisions / (shape + texture decisions) there. What there is no image for is left out.
    """
    conflict = shapes != textures
    values = {}
    if (~conflict).any():
        values["cue_agree"] = float((decisions == shapes)[~conflict].mean())
    if conflict.any():
        by_shape, by_texture = ((decisions == cue)[conflict] for cue in (shapes, textures))
        values["cue_conflict"] = float(by_shape.mean())
        values["cue_texture"] = float(by_texture.mean())
        if by_shape.any() or by_texture.any():
            values["shape_bias"] = float(by_shape.sum() / (by_shape.sum() + by_texture.sum()))
    return values


def textures_of(tree: ImageTree, known: Mapping[str, int]) -> np.ndarray:
    """Class of each image's texture, int64 [N], from names `<shape>_<texture>_<n>.png` in folders by shape.

    known: class number by name of a texture. Raises: UsageError for a file that is not named so.
    """
    textures = []
    for path, label in zip(tree.paths, tree.labels, strict=True):
        shape = tree.classes[label]
        texture = _texture(path, shape)
        if texture not in known:
            raise UsageError(
                f"{path}: a file is named {shape}_TEXTURE_NUMBER.png, TEXTURE one of {', '.join(sorted(known)[:10])}; "
                "where textures have other names than classes, give --val, whose images have their class's texture"
            )
        textures.append(known[texture])
    return np.array(textures)


def texture_numbers(classes: Sequence[str], agreeing: ImageTree | None) -> dict[str, int]:
    """Class number by name of a texture: a class's own name, and the one in the names of its agreeing images.

    Raises: UsageError for a texture of two classes.
    """
    known = {name: number for number, name in enumerate(classes)}
    if agreeing is None:
        return known
    for path, label in zip(agreeing.paths, agreeing.labels.tolist(), strict=True):
        texture = _texture(path, classes[label])
        if texture and known.setdefault(texture, label) != label:
            raise UsageError(
                f"{path}: the texture {texture} goes with {classes[known[texture]]}; --val holds conflicts"
            )
    return known


def _texture(path: Path, shape: str) -> str:
    """The middle of `<shape>_<texture>_<n>`; empty where a file is not named so."""
    rest = path.stem.removeprefix(f"{shape}_")
    return "" if rest == path.stem else rest.rpartition("_")[0]
