"""TensorBoard curves of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from common.event_files import event_writer


class Scalars:
    """An event file in the run's folder, made with its first point."""

    def __init__(self, folder: Path, first_step: int) -> None:
        self._folder, self._first_step = folder, first_step
        self._writer: SummaryWriter | None = None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """The metrics of one epoch, at its last step."""
        if self._writer is None:
            # Points that are done once more after an interruption are taken off the curves.
            self._writer = event_writer(self._folder, self._first_step + 1)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Ends the event file."""
        if self._writer is not None:
            self._writer.close()
