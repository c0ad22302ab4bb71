"""Small trees shaped like ImageNet, and the programs over them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.imagenet100 import WNIDS

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))


def photographs(count):
    """Real ones, spread over the classes."""
    files = sorted((SHARED / "imagenet-samples").glob("*.JPEG"))
    if not files:
        pytest.skip(f"no photographs in {SHARED / 'imagenet-samples'}; set SHARED_DATA")
    return files[7 :: len(files) // count][:count]


def pixels(file):
    return np.asarray(Image.open(file).convert("RGB"))


def painted(path, seed, size=(120, 100)):
    """A small image in colours that change slowly."""
    random = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    small = random.integers(0, 256, (size[1] // 10, size[0] // 10, 3), dtype=np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path, format="JPEG")


def painted_tree(root, count=6):
    for number in range(count):
        painted(
            root / ("train" if number % 3 else "val") / WNIDS[number % 2] / f"{WNIDS[number % 2]}_{number}.JPEG", number
        )
    return root


def class_tree(folder, wnids=WNIDS, images=2, ending=".JPEG"):
    """Files that are never opened as images, each with its own content."""
    for wnid in wnids:
        (folder / wnid).mkdir(parents=True)
        for number in range(images):
            (folder / wnid / f"{wnid}_{number}{ending}").write_text(f"{folder.name} {wnid} {number}")
    return folder


def content(folder, pattern="*"):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob(pattern) if path.is_file()}


def stamps(folder):
    """What would differ if a file were made anew."""
    return {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in folder.rglob("*") if not path.is_dir()}


def start(name, *arguments, inside=False, **options):
    """A program as a process: from inside its folder, or as a module from the root."""
    way = [f"{name}.py"] if inside else ["-m", f"preprocess.{name}"]
    return subprocess.Popen(
        [sys.executable, *way, *map(str, arguments)],
        cwd=ROOT / "preprocess" if inside else ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(name, *arguments, inside=False, **options):
    process = start(name, *arguments, inside=inside, **options)
    out, err = process.communicate()
    return process.returncode, out, err
