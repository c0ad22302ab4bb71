"""Damaged records, cells files, registries, logs and checkpoints: read right, or refused in one sentence."""

from __future__ import annotations

import logging
import re
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UserError, WorkFailed
from tests.torture.damaged_images import blank, cut, flip_bits, lose, splice
from tests.torture.file_cases import Case, cases

SLOW = 20.0  # seconds of this process for one file: others may have the machine
ODD = (
    b"", b"0", b"-1", b"nan", b"Infinity", b"1e999", b"1" + b"0" * 400, b"9" * 5000, b"null", b"true",
    b"{}", b"[]", b'""',
    b"[" * 3000, b"{" * 3000, b'{"a":' * 3000, b"\xff\xfe", b"\xef\xbb\xbf", b"\x00", b"\r", b"\n\n", b"\t", b'"', b"'",
    b"\xc2\xb2", b"\xd9\xa3", b"&a *a", b"!!python/object:os.system", b"2024-99-99", b"\\ud800", b": ", b"- ",
    b"#", b",",
    b"\xe2\x80\xae", b"../../x", b"x" * 10**5,
)  # fmt: skip


def odd_word(random: np.random.Generator, content: bytes, _other: bytes) -> bytes:
    """A word or a number is another."""
    words = [match.span() for match in re.finditer(rb"[\w.+-]+|[^\w\s]", content)]
    start, end = words[random.integers(len(words))] if words else (0, 0)
    return content[:start] + ODD[random.integers(len(ODD))] + content[end:]


def put_in(random: np.random.Generator, content: bytes, _other: bytes) -> bytes:
    """Something stands where nothing stood."""
    place = int(random.integers(len(content) + 1))
    return content[:place] + ODD[random.integers(len(ODD))] + content[place:]


def whole_file(random: np.random.Generator, _content: bytes, other: bytes) -> bytes:
    """Something else altogether."""
    return other if random.random() < 0.2 else ODD[random.integers(len(ODD))]


def save_elsewhere(random: np.random.Generator, content: bytes, _other: bytes) -> bytes:
    """As another program saves it: its encoding, its line ends, its separators."""
    text = content.decode("utf-8", "replace").replace("\n", str(random.choice(["\n", "\r\n", "\r"])))
    text = text.replace(",", str(random.choice([",", ";", "\t"])))
    return text.encode(str(random.choice(["utf-8-sig", "utf-16", "utf-32", "gbk", "latin-1", "cp1252"])), "replace")


DAMAGES = (flip_bits, flip_bits, cut, lose, blank, splice)
DAMAGES_OF_TEXT = (*DAMAGES, odd_word, odd_word, odd_word, put_in, whole_file, save_elsewhere)


def same(one: Any, other: Any) -> bool:
    """Whether nested values, arrays and tensors are equal."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "shape"):
        return one.shape == other.shape and one.dtype == other.dtype and bool((one == other).all())
    return bool(one == other)


def outcome(case: Case, right: Any) -> tuple[str, str]:
    """("read", "refused" or "wrong", what is wrong)."""
    started = time.process_time()
    try:
        value = case.read()
    except (UserError, WorkFailed) as error:
        said = str(error)
        if not any(name in said for name in (case.path.name, case.path.stem, case.path.parent.name)):
            return "wrong", f"names no file: {said[:500]}"
        return "refused", ""
    except BaseException:
        return "wrong", traceback.format_exc(limit=-4)
    if time.process_time() - started > SLOW:
        return "wrong", f"took {time.process_time() - started:.0f} s"
    if case.whole and value is not None and not same(value, right):
        return "wrong", f"read as if it were whole: {value!r:.300}"
    return "read", ""


def campaign(seed: int, count: int, seconds: float, names: tuple[str, ...] = ()) -> dict:
    """`count` damages, as many of every file that this environment reads; see tests.torture.campaigns."""
    end, counts = time.monotonic() + seconds, Counter[str]()
    failures: dict[str, str] = {}
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder:
            chosen = {name: case for name, case in cases(Path(folder)).items() if not names or name in names}
            for place, (name, case) in enumerate(chosen.items()):
                random, original, right = np.random.default_rng([seed, place]), case.path.read_bytes(), case.read()
                other = next(one.path for one in chosen.values()).read_bytes()
                share = time.monotonic() + (end - time.monotonic()) / (len(chosen) - place)
                damages = DAMAGES if case.binary else DAMAGES_OF_TEXT
                for number in range(count // len(chosen)):
                    if time.monotonic() > share:
                        break
                    damage = damages[random.integers(len(damages))]
                    damaged = bytes(damage(random, original, other))
                    case.path.write_bytes(damaged)
                    state, problem = outcome(case, right)
                    counts["files"] += 1
                    counts[state] += 1
                    if problem:
                        kind = f"{name}: {re.sub('[0-9]+', '0', problem)[-150:]}"
                        text = f"{name}, {damage.__name__} {number}: {damaged[:80]!r}: {problem[-1500:]}"
                        failures.setdefault(kind, text)
                case.path.write_bytes(original)
    finally:
        logging.disable(logging.NOTSET)
    return {"counts": dict(counts), "failures": list(failures.values())}
