"""The GPUs that torch can compute on, which are not always those that it counts."""

from __future__ import annotations

import logging

import torch

from common.errors import UsageError
from common.pytorch.gpu import why_not


def usable_gpus(device: str) -> int:
    """How many GPUs there are for --device (auto, cpu, cuda).

    The driver may show GPUs that torch was not built for: a warning then, and none, or with --device=cuda UsageError.
    """
    count = 0 if device == "cpu" else torch.cuda.device_count()
    if not count:
        return 0
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        why = why_not({"cuda": torch.version.cuda, "error": str(error)})
        said = f"torch {torch.__version__} cannot use the GPU of this machine: {why}"
        if device == "cuda":
            raise UsageError(f"--device=cuda: {said}, or give --device=cpu") from None
        logging.warning("%s; computing on the CPU, as --device=cpu", said)
        return 0
    return count
