"""How far a training program is. The bar is tqdm's; where that is not installed there is none."""

from __future__ import annotations

import datetime
import errno
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

try:
    from tqdm import tqdm
except ImportError:

    class tqdm:  # type: ignore[no-redef]
        """Accepts what the programs ask of tqdm, and shows nothing."""

        def __init__(self, items: Iterable = (), *_: Any, **__: Any) -> None:
            self._items = items

        def __iter__(self) -> Iterator:
            return iter(self._items)

        def update(self, count: int = 1) -> None:
            """Nothing."""

        def set_postfix(self, values: Any, refresh: bool = True) -> None:
            """Nothing."""

        def close(self) -> None:
            """Nothing."""

        @staticmethod
        def write(text: str) -> None:
            """Prints a line."""
            print(text)


LINE_SECONDS = 60.0


class Progress:
    """A bar on a terminal, a line now and then in a log; silent where `shown` is false."""

    def __init__(self, name: str, total: int, done: int, shown: bool) -> None:
        self._name, self._total, self._done, self._first = name, total, done, done
        self._started = self._said = time.monotonic()
        on_terminal = sys.stderr.isatty()
        self._in_log = shown and not on_terminal
        self._bar = tqdm(
            total=total,
            initial=done,
            unit="step",
            desc=name,
            mininterval=1,
            disable=not (shown and on_terminal),
            dynamic_ncols=True,
        )

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        self._bar.update()

    def look(self, values: Mapping[str, float]) -> None:
        """Shows how training goes, where there is a reader."""
        shown = {name: f"{value:.4g}" for name, value in values.items()}
        self._bar.set_postfix(shown, refresh=False)
        now = time.monotonic()
        if not self._in_log or now - self._said < LINE_SECONDS:
            return
        self._said = now
        left = (now - self._started) / max(1, self._done - self._first) * (self._total - self._done)
        text = " ".join(f"{name} {value}" for name, value in shown.items())
        eta = datetime.timedelta(seconds=round(left))
        logging.info("%s: step %d of %d, %s, ETA %s", self._name, self._done, self._total, text, eta)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()


def print_epoch(epoch: int, values: Mapping[str, float]) -> None:
    """The metrics of an epoch on a line, above the bar."""
    try:
        tqdm.write(f"epoch {epoch}: " + " ".join(f"{name} {value:.4f}" for name, value in sorted(values.items())))
    except OSError as error:
        if error.errno != errno.EIO:  # of a terminal that was closed: nobody reads, and the state is still to be saved
            raise
