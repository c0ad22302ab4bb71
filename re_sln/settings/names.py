"""Names: of the four models, each one flag away from the one before, and of networks."""

from __future__ import annotations

import re

from common.errors import UsageError

MODELS = {"ce": "CE", "sln": "SLN", "sln-mo": "SLN-MO", "sln-mo-lc": "SLN-MO-LC"}  # labels, in the order of the paper
FOUR_MODELS = (
    "CE (--sigma=0, no --mo, --lc_n_epoch=-1), SLN (--sigma above 0), SLN-MO (with --mo), "
    "SLN-MO-LC (with --mo and --lc_n_epoch between 1 and n_epochs - 1)"
)


def model_name(sigma: float, mo: bool, lc_n_epoch: int, n_epochs: int) -> str:
    """`ce`, `sln`, `sln-mo` or `sln-mo-lc`.

    sigma: standard deviation of the label noise, ≥ 0; mo: whether the averaged model is kept and tested; lc_n_epoch:
    first epoch with label correction, -1 for none. Raises: UsageError for any other combination.
    """
    if not 0 <= sigma < float("inf"):
        raise UsageError(f"--sigma={sigma}: a standard deviation is a number from 0 on")
    corrects = 0 < lc_n_epoch < n_epochs
    if lc_n_epoch == -1 or corrects:
        names = {
            (False, False, False): "ce",
            (True, False, False): "sln",
            (True, True, False): "sln-mo",
            (True, True, True): "sln-mo-lc",
        }
        if name := names.get((sigma > 0, mo, corrects)):
            return name
    raise UsageError(
        f"--sigma={sigma} {'with' if mo else 'without'} --mo, --lc_n_epoch={lc_n_epoch} of {n_epochs} epochs is none "
        f"of the four models: {FOUR_MODELS}"
    )


def parse_network(name: str) -> tuple[int, int]:
    """(depth, widening) of `wrn-DEPTH-WIDENING`. Raises: UsageError."""
    match = re.fullmatch(r"wrn-(\d+)-(\d+)", name)
    if not match or int(match[1]) < 10 or (int(match[1]) - 4) % 6 or int(match[2]) < 1:
        raise UsageError(
            f"--network={name}: a name is wrn-DEPTH-WIDENING with a depth of 10, 16, 22, 28 …, such as wrn-28-2"
        )
    return int(match[1]), int(match[2])


def check_network(name: str, takes_resnet50: bool) -> None:
    """Raises: UsageError for an unknown network, or resnet50 where the program has no --weights for it."""
    if name != "resnet50":
        parse_network(name)
    elif not takes_resnet50:
        raise UsageError("--network=resnet50: train_clothing1m.py alone has it; choose one such as wrn-28-2")
