"""The four models of the paper, each one flag away from the one before."""

from __future__ import annotations

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
