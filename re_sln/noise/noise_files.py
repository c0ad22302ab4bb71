"""The files that hold noisy labels: their names, and reading and writing them.

Below `<data_dir>/label_noisy/<dataset>/`: `sym0.4.csv` is the authors'; `sym0.4_custom_seed123.csv` is one's own, with
`…_rng-rerun` and `…_rules-rerun` where the flags of that name were given (formerly `…-seed`, which is still found);
`sym0.4_custom.csv`, which does not say what it was made with, is the name that the published runs used. Beside a custom
file lie `…_noise_rules.csv` and, for open-set noise, `….npy` with the whole training array.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.foreign_text import one_line
from common.results.tables import csv_text
from common.storage.files import atomic_write
from common.storage.text_files import lines_of, read_text, table_rows, text_of, whole_number

HEADER = ["label", "label_noisy"]
RULES_HEADER = ["src", "dsts", "p"]
BOOLEANS = {"false": 0, "true": 1}


def rate_text(p: float) -> str:
    """0.4 as `0.4`; a rate that one decimal would round keeps its digits, 0.45 as `0.45`."""
    return f"{p:.1f}" if float(f"{p:.1f}") == p else repr(float(p))


def custom_name(mode: str, p: float, seed: int | None, marks: Sequence[str] = ()) -> str:
    """`sym0.4_custom_seed123.csv`; marks say what is not the default; seed None: the name of the published runs."""
    keyed = "".join([f"_seed{seed}", *(f"_{mark}" for mark in marks)]) if seed is not None else ""
    return f"{mode}{rate_text(p)}_custom{keyed}.csv"


def rules_path(path: Path) -> Path:
    """Where the rules of a file of labels lie."""
    return path.with_name(f"{path.stem}_noise_rules.csv")


def images_path(path: Path) -> Path:
    """Where the images of a file of open-set noise lie."""
    return path.with_name(f"{path.stem}.npy")


def write_labels(
    path: Path,
    labels: np.ndarray,
    noisy: np.ndarray,
    rules: Sequence[Mapping[str, object]],
    images: np.ndarray | None = None,
) -> None:
    """Writes a custom file and what lies beside it; the labels last, so whoever finds them finds everything.

    Args: labels int64 [N]; noisy int64 or bool [N]; images uint8 [N, 32, 32, 3], open-set noise only.
    Raises: UsageError where that cannot be done.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if images is not None:
            stream = io.BytesIO()  # into a file numpy writes past Python, and of a full disk it says only how much fits
            np.save(stream, images, allow_pickle=False)
            atomic_write(images_path(path), stream.getvalue())
        header = [*rules[0]] if rules else RULES_HEADER
        atomic_write(rules_path(path), csv_text(header, [[*rule.values()] for rule in rules]))
        atomic_write(path, csv_text(HEADER, [*zip(labels.tolist(), noisy.tolist(), strict=True)]))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror or error}): custom noise is kept in the data folder; free "
            "space or rights there, or name a folder that can be written with --data_dir"
        ) from error


def read_labels(path: Path, labels: np.ndarray, num_classes: int, open_set: bool) -> tuple[np.ndarray, str]:
    """The column `label_noisy`, int64 [N] or, for open-set noise, bool [N]; and the file's SHA-256.

    Args: labels int64 [N], the data set's, which the other column must repeat.
    Raises: UsageError for a file that is missing, damaged or made for other data.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): check its name and rights") from error
    given, noisy = [], []
    for number, row in table_rows(text_of(content, str(path)), HEADER, str(path)):
        value = BOOLEANS.get(row[1].lower()) if open_set else whole_number(row[1])
        if value is None or value >= num_classes:
            raise UsageError(
                f"{path}, line {number}: {','.join(row)[:80]!r} must be a label and "
                f"{'True or False' if open_set else f'a class 0…{num_classes - 1}'}; it is damaged, obtain it again"
            )
        given.append((number, row[0]))
        noisy.append(value)
    _check_order(path, given, labels)
    return np.array(noisy, dtype=bool if open_set else np.int64), hashlib.sha256(content).hexdigest()


def _check_order(path: Path, given: list[tuple[int, str]], labels: np.ndarray) -> None:
    """Raises: UsageError, naming the first line that differs."""
    if len(given) != len(labels):
        raise UsageError(
            f"{path} has {len(given)} labels, the data set has {len(labels)}: it was made for other data; use the "
            "data set it was made for, or make one with --custom_noise --make_new_custom_noise"
        )
    for (number, text), label in zip(given, labels.tolist(), strict=True):
        if whole_number(text) != label:
            raise UsageError(
                f"{path}, line {number}: label {text}, but the data set has {label} there: it was made for other "
                "data or another order; use the data set it was made for, or make one with --custom_noise "
                "--make_new_custom_noise"
            )


def read_rules(path: Path) -> tuple[dict[str, str], ...]:
    """The rows of the rules beside a file of labels, unchanged; none where there is no such file."""
    try:
        content = read_text(rules_path(path))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UsageError(f"{rules_path(path)} cannot be read ({error.strerror}): check its rights") from error
    try:
        return tuple(csv.DictReader(lines_of(content)))
    except csv.Error as error:
        raise UsageError(f"{rules_path(path)} is not a table ({error}): bring back a copy, or delete it") from error


def read_images(path: Path, like: np.ndarray, is_foreign: np.ndarray) -> np.ndarray:
    """The training array of open-set noise, uint8 [N, 32, 32, 3].

    Args: like uint8 [N, 32, 32, 3], the data set's own images; is_foreign bool [N], where they were replaced.
    Raises: UsageError for an array that is missing, damaged or made from other images.
    """
    array = images_path(path)
    again = "make it again with --custom_noise --make_new_custom_noise"
    try:
        images = np.load(array, mmap_mode="r", allow_pickle=False)  # a header may claim more than the memory holds
        if not isinstance(images, np.ndarray):
            raise ValueError("it is a zip, not an array")
    except Exception as error:  # whatever numpy meets in a damaged header
        raise UsageError(f"{array} cannot be read ({one_line(error)}): it belongs to {path.name}; {again}") from error
    if images.shape != like.shape or images.dtype != like.dtype:
        raise UsageError(
            f"{array} holds {images.dtype} {images.shape}, the data set {like.dtype} {like.shape}: {again}"
        )
    for start in range(0, len(images), 5000):  # in parts: a copy of each array would cost memory
        kept = ~is_foreign[start : start + 5000]
        if not np.array_equal(images[start : start + 5000][kept], like[start : start + 5000][kept]):
            raise UsageError(f"{array} was made from other images than this data set has: {again}")
    return np.array(images)
