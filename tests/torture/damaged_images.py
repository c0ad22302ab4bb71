"""Damaged image files of every format that Pillow writes: each is decoded, or refused by one error that names it.

What the check before training accepts, the decoder of training must read: `common.storage.image_files`, and the
readers of the environment the campaign runs in, of moco_nonsem (torchvision first) or of ieg (TensorFlow first).
"""

from __future__ import annotations

import io
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from common.errors import UnreadableImage
from common.storage.image_files import FORMATS, decode, image_size, why_unreadable

MODES = ("RGB", "L", "1", "P", "RGBA", "CMYK", "I;16")
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
SLOW = 20.0  # seconds of this process for one file: others may have the machine
Bytes = bytes | bytearray
Reader = Callable[[Path], np.ndarray]


def originals(formats: Iterable[str] = ()) -> dict[str, bytes]:
    """Files of these formats, else of all, in every mode in which Pillow writes them; two frames where it can."""
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8))
    image = coarse.resize((40, 32), Image.Resampling.BICUBIC)
    Image.init()
    found = {}
    for format_ in formats or sorted(Image.SAVE):
        for mode in MODES:
            picture = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
            if mode != "I;16":
                picture = image.convert(mode)
            for several in (False, True):
                content = io.BytesIO()
                try:
                    more = {"save_all": True, "append_images": [picture.rotate(180)]} if several else {}
                    picture.save(content, format_, **more)
                except Exception:  # not every format has every mode, and some only readers of other programs
                    continue
                found[f"{format_} {mode}{' of two' if several else ''}"] = content.getvalue()
    return found


# Damages


def flip_bits(random: np.random.Generator, content: bytes, _other: bytes) -> Bytes:
    """Some bits anywhere."""
    damaged = bytearray(content)
    for place in random.integers(len(damaged), size=random.integers(1, 9)):
        damaged[place] ^= 1 << int(random.integers(8))
    return damaged


def hurt_header(random: np.random.Generator, content: bytes, _other: bytes) -> Bytes:
    """Numbers with extreme values near the beginning, where sizes and offsets are."""
    damaged = bytearray(content)
    for _ in range(random.integers(1, 4)):
        width = int(random.choice([1, 2, 4]))
        place = int(random.integers(min(len(damaged), 300)))
        number = int(random.choice(EXTREMES)) & (256**width - 1)
        damaged[place : place + width] = number.to_bytes(width, random.choice(["big", "little"]))
    return damaged


def cut(random: np.random.Generator, content: bytes, _other: bytes) -> Bytes:
    """The end is missing."""
    return content[: int(random.integers(len(content)))]


def lose(random: np.random.Generator, content: bytes, _other: bytes) -> Bytes:
    """A piece in the middle is missing, or is there twice."""
    start, length = int(random.integers(len(content))), int(random.integers(1, 200))
    if random.random() < 0.5:
        return content[:start] + content[start + length :]
    return content[: start + length] + content[start:]


def blank(random: np.random.Generator, content: bytes, _other: bytes) -> Bytes:
    """A piece of nothing or of noise, as a disk or a network leaves it."""
    start, length = int(random.integers(len(content))), int(random.integers(1, 600))
    piece = bytes(length) if random.random() < 0.5 else random.bytes(length)
    return content[:start] + piece + content[start + length :]


def splice(random: np.random.Generator, content: bytes, other: bytes) -> Bytes:
    """The beginning of one file and the end of another."""
    return content[: int(random.integers(len(content)))] + other[int(random.integers(len(other))) :]


DAMAGES = (flip_bits, hurt_header, hurt_header, cut, lose, blank, splice)


# Readers


def readers() -> dict[str, Reader]:
    """Decoders by name, each from a file to [H, W, 3] or [3, H, W]."""
    found: dict[str, Reader] = {"common": decode}
    if find_spec("torch"):
        from moco_nonsem.images.image_files import decode as of_moco

        found["moco_nonsem"] = lambda path: of_moco(path).numpy().transpose(1, 2, 0)
    if find_spec("tensorflow"):
        from ieg.datasets.image_files import Decoder, evaluation_image

        whole = Decoder(evaluation_image, 32)
        found["ieg"] = lambda path: whole({"file": np.array([str(path)])})[0]
    return found


def wrong_with(path: Path, reading: dict[str, Reader], counts: Counter[str]) -> str:
    """What the readers do that they must not, "" if nothing."""
    why = why_unreadable(path)
    counts["refused by the check" if why else "accepted by the check"] += 1
    try:
        image_size(path)
    except UnreadableImage:
        if not why:
            return "its header is refused, the whole of it is not"
    for name, read in reading.items():
        if name != "common" and "exceeds limit" in why:
            continue  # no program asks them: they would try for minutes to fill billions of pixels
        try:
            image = read(path)
        except UnreadableImage as error:
            tiny = name == "ieg" and not why and min(image_size(path)) < 2  # is refused before training, too
            if not why and not tiny:
                return f"{name} refuses what the check accepts: {error}"
            if str(path) not in str(error) or "\n" in str(error):
                return f"{name} does not name it in one line: {error}"
            counts[f"refused by {name}"] += 1
            continue
        if image.ndim != 3 or image.shape[2] != 3 or (name != "ieg" and image.dtype != np.uint8):
            return f"{name} makes {image.dtype} {image.shape} of it"
        counts[f"read by {name}"] += 1
    return ""


def campaign(seed: int, count: int, seconds: float) -> dict:
    """Tries `count` damages for `seconds` at most, on every format and reader."""
    return attack(seed, count, seconds, originals(), readers())


def attack(seed: int, count: int, seconds: float, files: dict[str, bytes], reading: dict[str, Reader]) -> dict:
    """Damages some of `files`, and has each of `reading` read them."""
    random, end = np.random.default_rng(seed), time.monotonic() + seconds
    counts, failures, names = Counter[str](), [], list(files)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "damaged.jpg"
        for name, content in files.items():
            path.write_bytes(content)
            if (why := why_unreadable(path)) and name.split()[0] in FORMATS:
                failures.append(f"{name}, undamaged: {why}")
        for case in range(count):
            if time.monotonic() > end:
                break
            name, other = (names[int(place)] for place in random.integers(len(names), size=2))
            damage = DAMAGES[int(random.integers(len(DAMAGES)))]
            path.write_bytes(damage(random, files[name], files[other]))
            begun = time.process_time()
            try:
                wrong = wrong_with(path, reading, counts)
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            if time.process_time() - begun > SLOW:
                wrong = wrong or f"{time.process_time() - begun:.0f} s"
            counts["damages"] += 1
            if wrong:
                failures.append(f"seed {seed}, case {case}, {name}, {damage.__name__}: {wrong}")
    return {"counts": dict(counts), "failures": failures}
