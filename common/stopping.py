"""Ctrl-C, SIGTERM and a closed terminal as a request: the step that is running ends and is saved. Standard library."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], object]


def asking() -> list[signal.Signals]:
    """The signals that ask a program to stop. SIGHUP, of a terminal that was closed, not under nohup."""
    hangup = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]


def when_asked(handler: Handler) -> dict[signal.Signals, Any]:
    """From now on `handler` gets these signals. Returns what did before."""
    terminals = [number for number in (1, 2) if os.isatty(number)]

    def handle(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:  # what is said to a terminal that is gone would be an error, before all is saved
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in terminals:
                os.dup2(nowhere, stream)
        handler(number, frame)

    return {number: signal.signal(number, handle) for number in asking()}


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """A list that fills when the process is asked to stop (see `asking`); a second Ctrl-C stops at once."""
    stopped: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)
        # Not after SIGTERM: a scheduler sends that to all processes, and a runner then its own Ctrl-C.
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = when_asked(note)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
