"""Open-set noise: images that belong to no class take the place of some, the labels stay."""

from __future__ import annotations

import numpy as np

from common.errors import UsageError
from common.random_streams import generator


def choose_places(num_images: int, num_foreign: int, p: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """p·N places and the foreign images that go there, int64 [n] each, all different within each."""
    # DEVIATION: the authors draw from an unseeded generator; here the seed gives the places.
    count = _count(round(num_images * p), num_foreign)
    random = generator(seed, "re_sln open-set noise")
    return random.permutation(num_images)[:count], random.permutation(num_foreign)[:count]


def choose_places_as_the_rerun(num_images: int, num_foreign: int, p: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The choice of the re-implementation behind the published numbers: numpy's legacy generator, seeded twice."""
    count = _count(int(num_images * p), num_foreign)
    places = np.random.RandomState(seed).choice(num_images, count, replace=False)
    return places, np.random.RandomState(seed + 123).choice(num_foreign, count, replace=False)


def _count(count: int, num_foreign: int) -> int:
    if count > num_foreign:
        raise UsageError(
            f"{count} images are to be replaced, but there are {num_foreign} foreign ones: each is used once, "
            "so choose a smaller --p, or a data folder with the whole data set"
        )
    return count


def replace_images(
    images: np.ndarray, foreign: np.ndarray, places: np.ndarray, sources: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A copy of `images` with `foreign[sources]` at `places`, and which those are.

    Args: images uint8 [N, 32, 32, 3]; foreign uint8 [M, 32, 32, 3]; places, sources int [n]. Returns: uint8, bool [N].
    """
    replaced, is_foreign = images.copy(), np.zeros(len(images), dtype=bool)
    replaced[places], is_foreign[places] = foreign[sources], True
    return replaced, is_foreign
