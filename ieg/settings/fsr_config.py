"""What fsr asks of the flags, checked before any data is read."""

from __future__ import annotations

from common.errors import UsageError
from ieg.settings.dataset_name import DatasetName
from ieg.settings.flags import Flags
from ieg.settings.pseudo_loss_name import parse_pseudo_loss

STAGED = ("resnet29", "resnet11")  # networks whose stages --meta_partial_level names


def partial_level(flags: Flags) -> int:
    """Which layers the look-ahead moves: as asked, else the classifier (0) for fsr and all (−1) for l2r and ieg."""
    # DEVIATION: the authors' last release sets 0 for fsr whatever the flag says; here the flag counts.
    if flags.meta_partial_level is None:
        return 0 if flags.method == "fsr" else -1
    return flags.meta_partial_level


def check_partial_level(flags: Flags) -> None:
    """Raises: UsageError for an unknown level, or one that the network has no stages for."""
    level = partial_level(flags)
    if level not in (-1, 0, 1, 2):
        raise UsageError(
            f"--meta_partial_level={level} is none of -1 (all layers), 0 (classifier), 1 (last stage on), "
            "2 (last two stages on)"
        )
    if level > 0 and flags.network_name not in STAGED:
        raise UsageError(
            f"--meta_partial_level={level} is defined for {' and '.join(STAGED)} only, not for {flags.network_name}; "
            "use -1 (all layers) or 0 (classifier)"
        )


def check_fsr(flags: Flags, dataset: DatasetName) -> None:
    """Raises: UsageError naming flag, value and rule."""
    parse_pseudo_loss(flags.use_pseudo_loss)
    for name in ("queue_capacity", "queue_bs"):
        value = getattr(flags, name)
        if value < 1 or value % dataset.num_classes:
            near = max(1, round(value / dataset.num_classes)) * dataset.num_classes
            raise UsageError(
                f"--{name}={value} is not a multiple of the {dataset.num_classes} classes of {flags.dataset}: "
                f"every class gets as many; try {near}"
            )
    if flags.queue_bs > flags.queue_capacity:
        raise UsageError(
            f"--queue_bs={flags.queue_bs} is more than --queue_capacity={flags.queue_capacity} holds; raise the latter"
        )
    for name in ("queue_beta", "meta_start_epoch", "meta_moving_end_epoch"):
        if not getattr(flags, name) >= 0:
            raise UsageError(f"--{name}={getattr(flags, name)} is not at least 0")
    if not 0 <= flags.moving_weight_gamma < 1:
        raise UsageError(f"--moving_weight_gamma={flags.moving_weight_gamma} is not at least 0 (off) and below 1")
    if flags.meta_moving_end_epoch and flags.meta_moving_end_epoch <= flags.meta_start_epoch:
        raise UsageError(
            f"--meta_moving_end_epoch={flags.meta_moving_end_epoch} is not after "
            f"--meta_start_epoch={flags.meta_start_epoch}: the averages would never move; 0 = they always do"
        )
    if flags.reuse_features and partial_level(flags) != 0:
        raise UsageError(
            f"--reuse_features goes with a look-ahead on the classifier, not with "
            f"--meta_partial_level={partial_level(flags)}, which changes the features; use 0"
        )
