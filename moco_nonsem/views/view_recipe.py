"""How views are made: what the flags of pre-training say about images, checked before any is read."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import UsageError

# Kinds of non-semantic views by the names of --robust: the program's and those of the authors' README.
ROBUST = {"none": "none", "patch": "patch", "nonsem": "patch", "texture": "texture", "texture_syn": "texture"}
PATCH_RATIO, PUBLISHED_PATCH_RATIO = (16, 56), (16, 72)  # the authors' default, and that of their tables


@dataclass(frozen=True, kw_only=True)
class ViewRecipe:
    """Size of a view in pixels; MoCo v2's augmentation or v1's; kind and number S of non-semantic views.

    patch_ratio: smallest and largest patch size in pixels, both inclusive. texture_draw: `seed` augments a texture
    with the random numbers of its query, `aligned` with the same crop, flip, colour and blur.
    Raises: UsageError from `check`.
    """

    size: int = 224
    aug_plus: bool = True
    robust: str = "patch"
    num_nonsem: int = 1
    patch_ratio: tuple[int, int] = PATCH_RATIO
    texture_draw: str = "seed"

    @property
    def patch_views(self) -> int:
        """How many views are made of patches."""
        return self.num_nonsem if self.robust == "patch" else 0

    def check(self) -> None:
        """Raises: UsageError for an impossible recipe."""
        if self.robust not in ROBUST.values():
            raise UsageError(f"--robust={self.robust} is not one of {', '.join(ROBUST)}")
        if self.robust != "none" and self.num_nonsem < 1:
            raise UsageError(f"--num-nonsem={self.num_nonsem}: at least 1; without such views use --robust=none")
        if self.robust == "texture" and self.num_nonsem != 1:
            raise UsageError(f"--num-nonsem={self.num_nonsem}: an image has one texture; use 1, or --robust=patch")
        if self.robust == "patch":
            self._check_patches()

    def _check_patches(self) -> None:
        low, high = self.patch_ratio
        if not 1 <= low <= high:
            raise UsageError(f"--patch-ratio {low} {high}: two sizes in pixels, 1 ≤ smallest ≤ largest, e.g. 16 72")
        if high >= self.size:
            raise UsageError(
                f"--patch-ratio {low} {high}: a patch must be smaller than the view, {self.size} pixels; "
                f"use at most {self.size - 1}"
            )
