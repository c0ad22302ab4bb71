"""From the flags of main_lincls.py to a run: the impossible is refused before data is read."""

from __future__ import annotations

from common.errors import UsageError
from common.flags import identity
from moco_nonsem.model.architectures import check_arch
from moco_nonsem.running.flag_checks import check_numbers, check_schedule
from moco_nonsem.running.flags import LinearFlags
from moco_nonsem.running.learning_rate import learning_rate


def check(flags: LinearFlags, world_size: int = 1) -> LinearFlags:
    """The flags. Raises: UsageError."""
    check_arch(flags.arch)
    check_numbers(flags, {"epochs": 1, "print_freq": 1})
    check_schedule(flags)
    if flags.batch_size < world_size:
        raise UsageError(
            f"--batch-size={flags.batch_size} is of all {world_size} processes together: at least {world_size}"
        )
    if flags.evaluate and not flags.resume:
        raise UsageError("--evaluate scores a trained classifier: name its checkpoint with --resume")
    if not flags.evaluate and not flags.pretrained:
        raise UsageError("--pretrained is missing: name the checkpoint of moco-non-sem-neg.py that is to be evaluated")
    return flags


def rate(flags: LinearFlags, epoch: int) -> float:
    """Learning rate of `epoch`."""
    return learning_rate(flags.lr, epoch, flags.epochs, flags.schedule, cosine=False)


def record(flags: LinearFlags, pretrained_sha256: str) -> dict:
    """What config.yml holds: every value that decides the numbers."""
    return identity(flags) | {
        "program": "main_lincls",
        "schedule": list(flags.schedule),
        "pretrained_sha256": pretrained_sha256,
    }


def encoder_number(pretrained: str) -> str:
    """What follows the last `_` of the name, without its ending: `0199` of checkpoint_0199.pth.tar."""
    name = pretrained.replace("\\", "/").split("/")[-1]
    for ending in (".tar", ".pth", ".pt"):
        name = name.removesuffix(ending)
    return name.split("_")[-1]
