"""TensorBoard's event files, of programs that have torch."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Scalars:
    """Curves of a run. Without TensorBoard there are none, with a warning: metrics.jsonl holds the same numbers.

    first_step: of the points to come; place: (folder below the run's, tag) of a metric's name.
    """

    def __init__(
        self, folder: Path, first_step: int, place: Callable[[str], tuple[str, str]] = lambda name: ("", name)
    ) -> None:
        self._writers: dict[str, Any] = {}
        self._folder, self._first_step, self._place = folder, first_step, place
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            logging.warning("TensorBoard is not installed: its event files are left out")
            self._installed = False
        else:
            self._installed = True

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """The metrics of one epoch; a file is made with its first point."""
        for name, value in values.items() if self._installed else ():
            below, tag = self._place(name)
            if below not in self._writers:
                self._writers[below] = event_writer(self._folder / below, self._first_step)
            self._writers[below].add_scalar(tag, value, step)
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Ends the event files."""
        for writer in self._writers.values():
            writer.close()


def event_writer(folder: Path, purge_step: int) -> Any:
    """A writer into `folder`; points from `purge_step` on, of steps that are done once more, are taken off the curves.

    What its thread meets, a full disk for one, is raised by the next write or flush; it does not print it as well.
    """
    from torch.utils.tensorboard import SummaryWriter

    before = set(threading.enumerate())
    writer = SummaryWriter(str(folder), purge_step=purge_step)
    own, report = set(threading.enumerate()) - before, threading.excepthook

    def unless_raised_elsewhere(arguments: threading.ExceptHookArgs) -> None:
        if not (arguments.thread in own and isinstance(arguments.exc_value, OSError)):
            report(arguments)

    threading.excepthook = unless_raised_elsewhere
    return writer
