"""From the flags of moco-non-sem-neg.py to a run: everything resolved, the impossible refused, before data is read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from common.errors import UsageError
from common.flags import identity
from moco_nonsem.model.architectures import check_arch, stride_of
from moco_nonsem.running.flag_checks import check_numbers, check_schedule
from moco_nonsem.running.flags import PretrainFlags
from moco_nonsem.running.learning_rate import learning_rate
from moco_nonsem.views.view_recipe import PATCH_RATIO, ROBUST, ViewRecipe

DEFAULT_ALPHA = 1.0
LARGEST_BATCH = 1024  # of the batch sizes that an error lists


@dataclass(frozen=True)
class PretrainConfig:
    """A resolved run. Derived values have their own names: no flag is rewritten.

    recipe: how views are made; bn_parts: in how many parts batch norm sees the whole batch, over all processes.
    """

    flags: PretrainFlags
    recipe: ViewRecipe
    alpha: float
    bn_parts: int
    world_size: int

    @property
    def num_nonsem(self) -> int:
        """S, 0 without non-semantic views."""
        return self.recipe.num_nonsem

    @property
    def leaks(self) -> bool:
        """Whether batch norm sees queries and keys in one and the same batch."""
        return self.bn_parts == 1

    def rate(self, epoch: int) -> float:
        """Learning rate of `epoch`."""
        flags = self.flags
        return learning_rate(flags.lr, epoch, flags.epochs, flags.schedule, flags.cos)

    def record(self) -> dict:
        """What config.yml holds: every value that decides the numbers."""
        robust = self.recipe.robust
        return identity(self.flags) | {
            "program": "moco-non-sem-neg",
            "robust": robust,
            "num_nonsem": self.num_nonsem,
            "alpha": self.alpha if self.num_nonsem else None,
            "patch_ratio": list(self.recipe.patch_ratio) if robust == "patch" else None,
            "schedule": None if self.flags.cos else list(self.flags.schedule),
            "texture_draw": self.recipe.texture_draw if robust == "texture" else None,
            "bn_parts": self.bn_parts,
        }


def resolve(flags: PretrainFlags, world_size: int = 1) -> PretrainConfig:
    """The run that the flags ask for. Raises: UsageError."""
    check_arch(flags.arch)
    robust = ROBUST.get(flags.robust, flags.robust)
    _check_numbers(flags)
    if robust == "none":
        _check_given(flags)
    low, high = flags.patch_ratio or PATCH_RATIO
    views = 0 if robust == "none" else flags.num_nonsem
    recipe = ViewRecipe(
        size=flags.image_size,
        aug_plus=flags.aug_plus,
        robust=robust,
        num_nonsem=views,
        patch_ratio=(low, high),
        texture_draw=flags.texture_draw,
    )
    recipe.check()
    check_shares(flags.batch_size, world_size)
    check_queue(flags.moco_k, flags.batch_size)
    alpha = DEFAULT_ALPHA if flags.alpha is None else flags.alpha
    parts = _bn_parts(flags, world_size)
    check_variance(flags, parts)
    return PretrainConfig(flags, recipe, alpha, parts, world_size)


def _check_given(flags: PretrainFlags) -> None:
    given = [f"--{name}" for name, value in (("alpha", flags.alpha), ("patch-ratio", flags.patch_ratio)) if value]
    if given:
        raise UsageError(
            f"{' and '.join(given)} given, but --robust={flags.robust} has no non-semantic negatives; give --robust "
            "patch or texture, or leave it out"
        )


def check_shares(batch_size: int, world_size: int) -> None:
    """Raises: UsageError where the processes cannot have equal parts of a batch."""
    if batch_size % world_size:
        below, above = batch_size // world_size * world_size, (batch_size // world_size + 1) * world_size
        raise UsageError(
            f"--batch-size={batch_size} is of all {world_size} processes together and has to be a multiple of their "
            f"number; give {f'{below} or ' if below else ''}{above}"
        )


def check_queue(length: int, batch_size: int) -> None:
    """Raises: UsageError, listing the batch sizes that fit, where the queue is not a multiple of the batch."""
    if length % batch_size == 0:
        return
    fitting = [size for size in range(1, min(length, LARGEST_BATCH) + 1) if length % size == 0]
    multiples = sorted({max(1, length // batch_size) * batch_size, (length // batch_size + 1) * batch_size})
    raise UsageError(
        f"--moco-k={length} is not a multiple of --batch-size={batch_size}: the queue holds whole batches. Batch sizes "
        f"up to {LARGEST_BATCH} that fit: {', '.join(map(str, fitting))}; or give --moco-k="
        f"{' or '.join(map(str, multiples))}"
    )


def _bn_parts(flags: PretrainFlags, world_size: int) -> int:
    if flags.bn_splits == 1:
        return world_size
    if flags.bn_splits < 1 or flags.bn_splits % world_size or flags.batch_size % flags.bn_splits:
        raise UsageError(
            f"--bn-splits={flags.bn_splits}: parts of the whole batch, so a multiple of the number of processes "
            f"({world_size}) that divides --batch-size={flags.batch_size}"
        )
    return flags.bn_splits


def check_variance(flags: PretrainFlags, parts: int) -> None:
    """Raises: UsageError where the last batch norms would see a single value."""
    stride = stride_of(flags.arch)
    if flags.batch_size == parts and flags.image_size <= stride:
        raise UsageError(
            f"--batch-size={flags.batch_size} in {parts} part(s), those of --bn-splits or the processes, is one image "
            f"in each, and the last layers of {flags.arch} make one pixel of --image-size={flags.image_size}: batch "
            f"norm needs two values; give a larger batch, fewer parts, or --image-size={stride + 1} or more"
        )


def _check_numbers(flags: PretrainFlags) -> None:
    check_numbers(
        flags,
        {"moco_dim": 1, "moco_k": 1, "save_freq": 1, "knn_every": 0, "knn_per_class": 1, "epochs": 1, "print_freq": 1},
    )
    if not 0 <= flags.moco_m <= 1:
        raise UsageError(f"--moco-m={flags.moco_m}: must be within [0, 1]")
    if not (0 < flags.moco_t < math.inf):
        raise UsageError(f"--moco-t={flags.moco_t}: a temperature is a finite number above 0")
    if flags.alpha is not None and not 0 < flags.alpha < math.inf:
        raise UsageError(f"--alpha={flags.alpha}: a finite number above 0; for no negatives give --robust none")
    check_schedule(flags)
