"""Small pictures that look like photographs enough: smooth, coloured, of different sizes."""

import numpy as np
from PIL import Image


def picture(seed, width=60, height=48):
    """A smooth coloured picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def write_tree(folder, classes=3, each=4, ending=".JPEG", shift=0):
    """Folder/<class>/<class>_<n>.JPEG, every picture of a size of its own."""
    for k in range(classes):
        place = folder / f"n{k:08d}"
        place.mkdir(parents=True)
        for n in range(each):
            seed = k * each + n
            picture(seed + shift, 40 + 3 * seed, 66 - 2 * seed).save(place / f"n{k:08d}_{n}{ending}")
    return folder
