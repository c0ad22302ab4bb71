"""What label noise was asked for, what of it can be refused at once, and which file it is in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from common.paths import data_dir
from data.checksums import Published, hash_file
from data.cifar import find_cifar
from data.registry import load_registry
from re_sln.former_names import FORMER, RERUN
from re_sln.noise.noise_files import custom_name, rate_text

DATASETS = ("cifar10", "cifar100", "digits")
FOREIGN = {"cifar10": "cifar100", "digits": "photographs"}  # whose images take places in open-set noise
MODES = ("sym", "asym", "dependent", "openset")
CUSTOM_RNGS = ("independent", RERUN)
ASYM_RULES = ("authors", RERUN)
# Numpy's legacy generator ends at 2**32 - 1, and seeds a little above the given one are used.
LARGEST_SEED = 2**32 - 200


@dataclass(frozen=True)
class NoiseRequest:
    """What was asked for on the command line.

    dataset_name: cifar10, cifar100, digits; mode: sym, asym, dependent, openset; p: rate in [0, 1], 0 for clean labels;
    custom: one's own file instead of the authors'; make_new: make it even if it is there; custom_rng, asym_rules:
    `rerun` draws as the published runs did; data_dir: where `label_noisy` lies, None for the default; made_with: marks
    of settings beside these that decide what a custom file holds, and are not the default.
    """

    dataset_name: str
    mode: str
    p: float
    custom: bool
    make_new: bool
    seed: int
    custom_rng: str = "independent"
    asym_rules: str = "authors"
    data_dir: Path | None = None
    allow_unverified: bool = False
    made_with: tuple[str, ...] = ()


def check_request(request: NoiseRequest) -> None:
    """Refuses what cannot be, before images are read.

    Raises: UsageError for impossible values or combinations, a missing or altered file of the authors, a place that
    cannot be written; DataError where CIFAR-100 is needed and missing.
    """
    _check_values(request)
    if request.p == 0:
        return
    if not request.custom:
        _check_authors_file(request)
    elif existing_custom(request) is None:
        _check_writable(custom_path(request))
        if request.mode == "openset" and request.dataset_name == "cifar10":
            find_cifar(FOREIGN["cifar10"], request.data_dir)


def _check_values(request: NoiseRequest) -> None:
    choices = {
        "dataset_name": (request.dataset_name, DATASETS),
        "noise_mode": (request.mode, MODES),
        "custom_rng": (request.custom_rng, CUSTOM_RNGS),
        "asym_rules": (request.asym_rules, ASYM_RULES),
    }
    for flag, (value, allowed) in choices.items():
        if value not in allowed:
            raise UsageError(f"--{flag}={value}: choose one of {', '.join(allowed)}")
    if not 0 <= request.p <= 1:
        raise UsageError(f"--p={request.p}: the rate of the noise is above 0 and at most 1, or 0 for clean labels")
    check_seed(request.seed)
    if request.make_new and not request.custom:
        raise UsageError("--make_new_custom_noise makes a custom file: add --custom_noise, or drop this flag")
    if request.mode == "openset" and request.dataset_name not in FOREIGN:
        raise UsageError(
            f"--noise_mode=openset with {request.dataset_name}: there are foreign images for {' and '.join(FOREIGN)} "
            "alone; choose sym, asym or dependent"
        )


def check_seed(seed: int) -> None:
    """Raises: UsageError for a seed that a generator would not take."""
    if not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"--seed={seed}: a seed is a whole number from 0 to {LARGEST_SEED}")


def _check_authors_file(request: NoiseRequest) -> None:
    path, published = authors_path(request), _published()
    own_way = "add --custom_noise for a file of your own"
    expected = published.get(f"{request.dataset_name}/{path.name}")
    if expected is None and not (request.allow_unverified and path.is_file()):
        known = ", ".join(name.removesuffix(".csv") for name in published)
        raise UsageError(
            f"--noise_mode={request.mode} --p={request.p} for {request.dataset_name}: the authors published {known}; "
            f"choose one of these, or {own_way}"
        )
    if not path.is_file():
        raise UsageError(
            f"{path} is missing: fetch the authors' files with `make data-sln-noise` or `python -m data fetch "
            f"sln-noise`, name their place with --data_dir, or {own_way}"
        )
    if expected and not request.allow_unverified and (difference := expected.difference(hash_file(path))):
        raise UsageError(
            f"{path} is not the authors' ({difference}): fetch it again, add --allow_unverified, or {own_way}"
        )


def _check_writable(path: Path) -> None:
    folder = next(parent for parent in path.parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"{path} must be made, but {folder} cannot be written: custom noise is kept in the data folder; name one "
            "that can be written with --data_dir, with links to the data sets in it"
        )


# Where the files are


def _folder(request: NoiseRequest) -> Path:
    return data_dir(request.data_dir) / load_registry()["sln-noise"].folder / request.dataset_name


def authors_path(request: NoiseRequest) -> Path:
    """Where the authors' file lies, or would: `sym0.4.csv`."""
    return _folder(request) / f"{request.mode}{rate_text(request.p)}.csv"


def _published() -> dict[str, Published]:
    """`cifar10/sym0.4.csv` → its checksum."""
    return {archive.into: archive.published for archive in load_registry()["sln-noise"].archives}


def custom_path(request: NoiseRequest, rerun: str = RERUN) -> Path:
    """Files drawn in another way than the default have another name. rerun: what the mark calls the rerun."""
    marks = []
    if request.custom_rng == RERUN and request.mode != "dependent":
        marks.append(f"rng-{rerun}")
    if request.asym_rules == RERUN and (request.mode, request.dataset_name) == ("asym", "cifar10"):
        marks.append(f"rules-{rerun}")
    return _folder(request) / custom_name(request.mode, request.p, request.seed, [*marks, *request.made_with])


def needs_predictions(request: NoiseRequest) -> bool:
    """Whether a file must be made that depends on what a network predicts."""
    return request.custom and request.mode == "dependent" and request.p > 0 and existing_custom(request) is None


def existing_file(request: NoiseRequest) -> Path | None:
    """The file of labels that serves the request; None where one must be made, or none is needed."""
    path = existing_custom(request) if request.custom else authors_path(request)
    return path if request.p > 0 else None


def unkeyed_path(request: NoiseRequest) -> Path:
    """The file of the published runs, whose name does not say how it was drawn."""
    return _folder(request) / custom_name(request.mode, request.p, None)


def existing_custom(request: NoiseRequest) -> Path | None:
    """The custom file that serves the request; None where one must be made."""
    if request.make_new:
        return None
    candidates = (custom_path(request), custom_path(request, FORMER), unkeyed_path(request))
    return next((path for path in candidates if path.is_file()), None)
