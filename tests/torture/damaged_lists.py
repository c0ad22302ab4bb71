"""Damaged text files, pickles and arrays of data sets: each is read, or refused by one sentence that names the file."""

from __future__ import annotations

import io
import pickle
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.io import savemat

from common.errors import UserError
from common.text_files import name_in
from data.safe_pickle import load_batch
from preprocess.imagenet_source import DEVKIT, GROUND_TRUTH, validation_classes
from preprocess.program import settings_in
from re_sln.datasets.clothing1m import LISTS, read_list
from re_sln.noise.noise_files import images_path, read_images, read_labels, read_rules, rules_path
from reproduce.cells.files import read_yaml
from tests.torture.damaged_images import DAMAGES, SLOW

ENCODINGS = ("utf-8-sig", "utf-16", "utf-32", "gbk", "latin-1", "cp1252")
PIECES = (
    "\ufeff",
    "²",
    "٣",
    "\0",
    '"',
    '""',
    ";",
    "\t",
    ",",
    "\r",
    "\u2028",
    "1.0",
    "1,000",
    "-1",
    "9" * 400,
    "sep=;\n",
)
LABELS, COUNT = np.arange(30) % 10, 30
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)


def write_originals(folder: Path) -> dict[str, tuple[Path, Callable[[], object]]]:
    """The file that is damaged and what reads it, by the kind of file."""
    lines = [f"images/{k}/ü {k}.jpg {k % 14}\n" for k in range(COUNT)]
    for root, layout in ((folder / "plain", "{}.txt"), (folder / "keys", "{}_key_list.txt")):
        (root / "annotations").mkdir(parents=True)
        for name in LISTS:
            own = lines if root.name == "plain" else [line.rpartition(" ")[0] + "\n" for line in lines]
            (root / "annotations" / layout.format(name)).write_text("".join(own), encoding="utf-8")
    for origin in ("noisy", "clean"):
        (folder / "keys" / "annotations" / f"{origin}_label_kv.txt").write_text("".join(lines), encoding="utf-8")
    noise = folder / "sym0.4.csv"
    noise.write_text("label,label_noisy\n" + "".join(f"{k},{(k + 1) % 10}\n" for k in LABELS.tolist()))
    rules_path(noise).write_text("src,dsts,p\n1,2,0.5\n")
    np.save(images_path(noise), IMAGES)
    (folder / "cells.yaml").write_text("a: {b: [1, 2]}\nc:\n- d: 0.5\n")
    (folder / "settings.json").write_text('{"seed": 0, "tool": "builtin"}\n')
    (folder / "NAME").write_text("cifar10-jpeg\n")
    batch = {"data": IMAGES.reshape(COUNT, -1)[:, :60], "labels": LABELS, "names": ["a", "b"], b"numbers": [1, 2]}
    (folder / "batch").write_bytes(pickle.dumps(batch, 5))
    (folder / "batch2").write_bytes(pickle.dumps(batch, 2))
    write_devkit(folder / DEVKIT)
    annotations = folder / "keys" / "annotations"
    foreign = np.zeros(COUNT, bool)
    return {
        "list of paths and labels": (
            folder / "plain" / "annotations" / "clean_val.txt",
            lambda: read_list(folder / "plain", "clean_val"),
        ),
        "list of paths": (annotations / "clean_val_key_list.txt", lambda: read_list(folder / "keys", "clean_val")),
        "list of labels": (annotations / "noisy_label_kv.txt", lambda: read_list(folder / "keys", "noisy_train")),
        "noisy labels": (noise, lambda: read_labels(noise, LABELS, 10, False)),
        "rules of noise": (rules_path(noise), lambda: read_rules(noise)),
        "images of noise": (images_path(noise), lambda: read_images(noise, IMAGES, foreign)),
        "yaml": (folder / "cells.yaml", lambda: read_yaml(folder / "cells.yaml")),
        "settings": (folder / "settings.json", lambda: settings_in(folder / "settings.json")),
        "name": (folder / "NAME", lambda: name_in(folder)),
        "pickle of protocol 5": (folder / "batch", lambda: load_batch(folder / "batch")),
        "pickle of protocol 2": (folder / "batch2", lambda: load_batch(folder / "batch2")),
        "devkit": (folder / DEVKIT, lambda: validation_classes(folder / DEVKIT)),
    }


def write_devkit(path: Path) -> None:
    """ImageNet's, with two classes."""
    table = io.BytesIO()
    synsets = np.array([(1, "n01"), (2, "n02")], dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O")])
    savemat(table, {"synsets": synsets})
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (("meta.mat", table.getvalue()), (GROUND_TRUTH, b"2\n1\n2\n")):
            member = tarfile.TarInfo(f"kit/data/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def save_elsewhere(random: np.random.Generator, content: bytes) -> bytes:
    """As another program saves it: encoding, line ends, and something typed into it."""
    text = content.decode("utf-8", "replace")
    for _ in range(int(random.integers(3))):
        place = int(random.integers(len(text) + 1))
        text = text[:place] + str(random.choice(PIECES)) + text[place:]
    text = text.replace("\n", str(random.choice(["\n", "\r\n", "\r"])))
    return text.encode(str(random.choice(ENCODINGS)), "replace")


def campaign(seed: int, count: int, seconds: float) -> dict:
    """Tries `count` damages for `seconds` at most."""
    random, end = np.random.default_rng(seed), time.monotonic() + seconds
    counts, failures = Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        targets = write_originals(Path(folder))
        originals = {kind: path.read_bytes() for kind, (path, _) in targets.items()}
        kinds = list(targets)
        for _, read in targets.values():
            read()
        for case in range(count):
            if time.monotonic() > end:
                break
            kind, other = (kinds[int(place)] for place in random.integers(len(kinds), size=2))
            path, read = targets[kind]
            if random.random() < 0.3:
                content = save_elsewhere(random, originals[kind])
            else:
                content = bytes(DAMAGES[int(random.integers(len(DAMAGES)))](random, originals[kind], originals[other]))
            path.write_bytes(content)
            wrong, begun = "", time.monotonic()
            try:
                read()
                counts[f"read: {kind}"] += 1
            except UserError as error:
                counts[f"refused: {kind}"] += 1
                if path.name not in str(error) and path.stem not in str(error):
                    wrong = f"the file is not named: {error}"
                elif "\n" in str(error) or len(str(error)) > 2000:
                    wrong = f"no sentence: {error}"
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            if time.monotonic() - begun > SLOW:
                wrong = wrong or f"{time.monotonic() - begun:.0f} s"
            counts["damages"] += 1
            if wrong:
                failures.append(f"seed {seed}, case {case}, {kind}: {wrong}"[:1000])
            path.write_bytes(originals[kind])
    return {"counts": dict(counts), "failures": failures}
