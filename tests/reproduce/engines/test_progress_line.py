from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from reproduce.cells import load_tables
from reproduce.engines.progress_line import ProgressLine
from reproduce.runs import Run, runs_of

POLL_SECONDS = 0.25  # a fraction that adds up without rounding


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def runs(write_cells: Callable[..., Path], tmp_path: Path) -> list[Run]:
    return runs_of(load_tables(write_cells())["small"].cells, (0,), tmp_path / "runs")


def test_a_log_has_a_line_at_once_and_then_two_or_more_a_minute(
    runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    clock, when = Clock(), list[float]()
    line = ProgressLine(runs, clock)
    while clock.seconds <= 1300:
        if line.due():
            when.append(clock.seconds)
            line.show([], {runs[0].name: 0.0})
        clock.seconds += POLL_SECONDS
    assert when[0] == 1000
    gaps = [later - before for before, later in pairwise(when)]
    assert all(15 <= gap <= 30 for gap in gaps)
    assert when[-1] > 1270
    error = capsys.readouterr().err
    assert "\r" not in error
    assert len(error.splitlines()) == len(when)


def test_a_line_says_how_many_are_done_what_runs_and_how_long_it_takes(
    runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    line = ProgressLine(runs, clock)
    first, second = (run.name for run in runs)
    line.show([], {first: 0.0, second: 0.0})
    clock.seconds += 60
    line.show([first], {second: 0.5})
    assert capsys.readouterr().err.splitlines() == [
        f"0/2 runs, 0:00 so far, time left not known yet: {first} 0%, {second} 0%",
        f"1/2 runs, 1:00 so far, about 0:20 left: {second} 50%",
    ]


def test_on_a_terminal_one_line_is_written_over(
    runs: list[Run], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    line = ProgressLine(runs, clock)
    for _ in range(3):
        assert line.due()
        line.show([], {runs[0].name: 0.0})
        assert not line.due()
        clock.seconds += 2
    error = capsys.readouterr().err
    assert error.count("\r") == 3
    assert "\n" not in error
