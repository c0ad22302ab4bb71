"""A search for σ: its flags, its trials, where it lies and what it finds. Neither torch nor Ray is needed for that."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.flags import flag, parse
from common.paths import data_dir, user_path
from common.records.config_text import config_hash
from common.records.record_files import finished_result
from re_sln.settings.config import Config, resolve
from re_sln.settings.flags import PROGRAMS, Flags
from re_sln.training.run_folder import runs_dir

METRIC = "accuracy_val_sigma_"
DIVERGED = "diverged.txt"  # in a trial's folder: its loss was not finite
PUBLISHED = (
    "The published search on CIFAR-10 with p = 0.4 picks σ = 1.0 for sym and 0.2 for asym; the published tables use "
    "0.5 for asym."
)


@dataclass(frozen=True)
class SearchFlags(Flags):
    """Values as given on the command line of tune.py."""

    sigmas: str = flag("0.1,0.2,0.5,1.0", "the σ to try, with commas between them", group="search")
    val_size: float = flag(
        0.1,
        "share of the training set that is held out, each class in proportion, with its noisy labels",
        group="search",
    )
    # DEVIATION: the rerun's search crops and flips the held-out images as in training; ours treats them as test images.
    val_transform: str = flag(
        "test", "how held-out images are seen: as test images, or as training images", ("train", "test"), "search"
    )
    cpus_per_trial: int | None = flag(None, "cores of a trial [the trials share those that are there]", group="search")
    gpus_per_trial: float | None = flag(
        None, "GPUs of a trial, 1 or less [the trials share those that are there]", group="search"
    )
    address: str | None = flag(
        None,
        "a Ray cluster, e.g. auto or 10.0.0.1:6379; all its machines see code, data and runs under the same paths [Ray "
        "is started on this machine]",
        group="search",
    )


PROGRAM = dataclasses.replace(
    PROGRAMS["train_cifar"],
    name="tune",
    description="Tries several σ at once with Ray Tune, each on most of the training set, and compares the accuracies "
    "on the rest of it. The same command resumes a search that was interrupted.",
    without=PROGRAMS["train_cifar"].without | {"sigma", "resume", "evaluate"},
)


@dataclass(frozen=True)
class Search:
    """A resolved search. folder: absolute; trials: each σ as it is written, with the run that tries it."""

    flags: SearchFlags
    folder: Path
    trials: Mapping[str, Config]

    @property
    def first(self) -> Config:
        """One of the trials, for what all of them have in common."""
        return next(iter(self.trials.values()))

    def record(self) -> dict[str, Any]:
        """What config.yml of the search holds."""
        shared = {key: value for key, value in self.first.record().items() if key not in ("sigma", "model")}
        return shared | self.split() | {"sigmas": ",".join(self.trials)}

    def split(self) -> dict[str, Any]:
        """What config.yml of a trial holds besides the training run's flags."""
        return {"val_size": self.flags.val_size, "val_transform": self.flags.val_transform}

    def trial_folder(self, sigma: str) -> Path:
        """Where the trial lies."""
        return self.folder / f"sigma_{sigma}"

    def trial_record(self, sigma: str) -> dict[str, Any]:
        """What config.yml of a trial holds, but for what the noise file is."""
        return self.trials[sigma].record() | self.split()

    def result(self, sigma: str) -> dict[str, Any] | None:
        """The result of a trial; None until it is finished. Raises: RecordError for another run's, or a damaged one."""
        return finished_result(self.trial_folder(sigma), self.trial_record(sigma), "accuracy_val", whole=False)

    def diverged(self, sigma: str) -> bool:
        """Whether the trial's loss was not finite when it was tried last."""
        return (self.trial_folder(sigma) / DIVERGED).exists()


def parse_search(argv: list[str]) -> SearchFlags:
    """Flags of a command line; exits with 2 and one sentence on anything unknown or unreadable."""
    return parse(SearchFlags, "tune.py", PROGRAM.description, argv, without=PROGRAM.without)


def resolve_search(flags: SearchFlags) -> Search:
    """The search that the flags ask for. Raises: UsageError."""
    if not 0 < flags.val_size < 1:
        raise UsageError(f"--val_size={flags.val_size}: a share of the training set lies between 0 and 1")
    if flags.cpus_per_trial is not None and flags.cpus_per_trial < 1:
        raise UsageError(f"--cpus_per_trial={flags.cpus_per_trial}: a trial needs at least one core")
    if flags.gpus_per_trial is not None and not 0 <= flags.gpus_per_trial <= 1:
        raise UsageError(
            f"--gpus_per_trial={flags.gpus_per_trial}: a trial computes on one GPU, a part of one, or none"
        )
    if flags.gpus_per_trial == 0 and flags.device == "cuda":
        raise UsageError("--device=cuda --gpus_per_trial=0: a trial on a GPU needs a part of one, such as 0.25")
    if flags.gpus_per_trial and flags.device == "cpu":
        raise UsageError(f"--device=cpu --gpus_per_trial={flags.gpus_per_trial}: leave one of them out")
    plain = {field.name: getattr(flags, field.name) for field in dataclasses.fields(Flags)}
    # Trials start in folders of their own, and on other machines.
    plain["data_dir"] = str(data_dir(flags.data_dir))
    trials = {repr(sigma): resolve(PROGRAM, Flags(**plain | {"sigma": sigma})) for sigma in parse_sigmas(flags.sigmas)}
    search = Search(flags, Path(), trials)
    if flags.run_dir:
        return dataclasses.replace(search, folder=user_path(flags.run_dir).absolute())
    name = "_".join(["hp", flags.dataset_name, flags.noise_mode, config_hash(search.record())[:12]])
    return dataclasses.replace(search, folder=runs_dir() / name)


def parse_sigmas(text: str) -> list[float]:
    """Rising. Raises: UsageError."""
    try:
        sigmas = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--sigmas={text}: numbers with commas between them, such as 0.1,0.2,0.5,1.0") from error
    if len(set(sigmas)) < len(sigmas):
        raise UsageError(f"--sigmas={text}: each σ is tried once, leave out the second")
    return sorted(sigmas)


def best_sigma(accuracies: Mapping[str, float]) -> str:
    """The σ with the highest accuracy; of several the smallest."""
    return max(sorted(accuracies, key=float), key=lambda sigma: accuracies[sigma])
