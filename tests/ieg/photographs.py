"""Real photographs, and small trees of them in the layouts of WebVision mini and ImageNet."""

import os
import shutil
from pathlib import Path

import pytest

from data.webvision import WNIDS, webvision_root

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))


def photographs():
    """One of every class of ImageNet, in the order of the classes; skips where they are not at hand."""
    files = sorted((SHARED / "imagenet-samples").glob("*.JPEG"))
    if not files:
        pytest.skip(f"no photographs in {SHARED / 'imagenet-samples'}; set SHARED_DATA")
    return files


def image_tree(folder, splits, per_class=2, first=0):
    """<folder>/<split>/<wnid>/…: `per_class` photographs of any content in each of the 50 classes."""
    files = photographs()
    for number, split in enumerate(splits):
        for k, wnid in enumerate(WNIDS):
            (folder / split / wnid).mkdir(parents=True)
            for copy in range(per_class):
                source = files[(first + 97 * number + k + 50 * copy) % len(files)]
                shutil.copyfile(source, folder / split / wnid / f"{wnid}_{copy}.jpg")
    return folder


def webvision_tree(data_dir, per_class=2):
    """WebVision mini in small below a data folder."""
    return image_tree(webvision_root(data_dir), ("train", "val"), per_class)
