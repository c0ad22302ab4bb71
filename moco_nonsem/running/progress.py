"""How far a run is and when it will be done: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import datetime
import logging
import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

LINE_SECONDS = 60.0


class Progress:
    """Counts the steps of a run; silent where `shown` is false."""

    def __init__(self, name: str, total: int, done: int, shown: bool) -> None:
        self._name, self._total, self._done, self._first = name, total, done, done
        self._shown, self._started = shown, time.monotonic()
        self._said = self._started
        on_terminal = shown and sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=done,
            unit="step",
            desc=name,
            mininterval=1,
            disable=not on_terminal,
            dynamic_ncols=True,
        )

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        self._bar.update()

    def look(self, values: Mapping[str, float]) -> None:
        """Shows how training goes, where there is a reader."""
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()}, refresh=False)
        now = time.monotonic()
        if not self._shown or not self._bar.disable or now - self._said < LINE_SECONDS:
            return
        self._said = now
        left = (now - self._started) / max(1, self._done - self._first) * (self._total - self._done)
        shown = " ".join(f"{name} {value:.4g}" for name, value in values.items())
        eta = datetime.timedelta(seconds=round(left))
        logging.info("%s: step %d of %d, %s, ETA %s", self._name, self._done, self._total, shown, eta)

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self._shown:
            tqdm.write(text)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()
