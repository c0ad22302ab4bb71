"""What several runs are doing, as one line that is written over; in a file or a CI log, a new line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Mapping

from reproduce.runs import Run, progress

SHOW_SECONDS, LOG_SECONDS = 2.0, 20.0
WIDTH = 118


class ProgressLine:
    """Of all runs that are to be done: how many are, how far the others, how long it took and will take.

    now: seconds of a clock that never goes back.
    """

    def __init__(self, runs: list[Run], now: Callable[[], float] = time.monotonic) -> None:
        self._weights = {run.name: max(1, run.cell.steps) * run.cell.cost.cpu_step_seconds for run in runs}
        self._before = {run.name: share_of(run, progress(run)) for run in runs}
        self._now = now
        self._started = self._next_look = now()
        self._shown = ""

    def due(self) -> bool:
        """Whether it is time to show something again."""
        return self._now() >= self._next_look

    def show(self, ended: Collection[str], running: Mapping[str, float]) -> None:
        """`ended`: names of the runs that are over; `running`: the share of each that is done."""
        now, watched = self._now(), sys.stderr.isatty()
        self._next_look = now + (SHOW_SECONDS if watched else LOG_SECONDS)
        shares = dict.fromkeys(ended, 1.0) | dict(running)
        all_work = sum(weight * (1 - self._before[name]) for name, weight in self._weights.items())
        work = sum(self._weights[name] * (share - self._before[name]) for name, share in shares.items())
        elapsed = now - self._started
        left = f"about {clock(elapsed * (all_work - work) / work)} left" if work > 0 else "time left not known yet"
        doing = ", ".join(f"{name} {share:.0%}" for name, share in running.items())
        line = f"{len(ended)}/{len(self._weights)} runs, {clock(elapsed)} so far, {left}: {doing}"
        if watched:
            print(f"\r{line[:WIDTH]:<{len(self._shown)}}", end="", file=sys.stderr, flush=True)
            self._shown = line[:WIDTH]
        else:
            print(line, file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._shown:
            print("\r" + " " * len(self._shown) + "\r", end="", file=sys.stderr)
            self._shown = ""
        print(text, file=sys.stderr, flush=True)


def share_of(run: Run, steps: int) -> float:
    """How much of the run so many steps are, from 0 to 1."""
    return min(1.0, steps / max(1, run.cell.steps))


def clock(seconds: float) -> str:
    """Seconds as 1:05 or 2:03:00."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
