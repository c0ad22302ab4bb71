"""TensorBoard curves of a run, under the tags of the published logs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from re_sln.training.tally import COLUMNS

PREFIX = "loss/train_"


class Scalars:
    """Event files in the run's folder; loss/train of all, clean and noisy examples in separate folders."""

    def __init__(self, folder: Path, first_epoch: int) -> None:
        self._writers: dict[str, Any] = {}
        self._folder, self._first_epoch = folder, first_epoch
        self._make = _summary_writer()

    def write(self, epoch: int, values: dict[str, float]) -> None:
        """The metrics of one epoch; nothing where TensorBoard is not installed."""
        if self._make is None:
            return
        for name, value in values.items():
            column = name.removeprefix(PREFIX)
            if name.startswith(PREFIX) and column in COLUMNS:
                self._writer(f"loss_train_{column}").add_scalar("loss/train", value, epoch)
            else:
                self._writer("").add_scalar(name, value, epoch)
        for writer in self._writers.values():
            writer.flush()

    def _writer(self, below: str) -> Any:
        if below not in self._writers:
            # Points of epochs that are done once more after an interruption are taken off the curves.
            self._writers[below] = self._make(self._folder / below, purge_step=self._first_epoch)
        return self._writers[below]

    def close(self) -> None:
        """Ends the event files."""
        for writer in self._writers.values():
            writer.close()


def _summary_writer() -> Any:
    """TensorBoard's writer, or None with a warning: metrics.jsonl holds the same numbers."""
    try:
        from common.event_files import event_writer
    except ImportError:
        logging.warning("TensorBoard is not installed: its event files are left out")
        return None
    return event_writer
