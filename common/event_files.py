"""TensorBoard's event files, of programs that have torch."""

from __future__ import annotations

import threading
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


def event_writer(folder: Path, purge_step: int) -> SummaryWriter:
    """A writer into `folder`; points from `purge_step` on, of steps that are done once more, are taken off the curves.

    What its thread meets, a full disk for one, is raised by the next write or flush; it does not print it as well.
    """
    before = set(threading.enumerate())
    writer = SummaryWriter(str(folder), purge_step=purge_step)
    own, report = set(threading.enumerate()) - before, threading.excepthook

    def unless_raised_elsewhere(arguments: threading.ExceptHookArgs) -> None:
        if not (arguments.thread in own and isinstance(arguments.exc_value, OSError)):
            report(arguments)

    threading.excepthook = unless_raised_elsewhere
    return writer
