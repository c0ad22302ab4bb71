"""What the programs have in common: flags in, processes started, exit code out."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from common.flags import parse
from common.program import guarded_training
from moco_nonsem.running.flags import PLACES, Common
from moco_nonsem.running.launch import Place, places, start_all

F = TypeVar("F", bound=Common)
Work = Callable[[F, Place, list[str]], int]


def run_program(
    kind: type[F], name: str, text: str, check: Callable[[F, int], object], module: str, argv: list[str] | None
) -> int:
    """Exit code of the program `name`; see `run`. text: the first line is its description; module: has its `work`."""
    arguments = sys.argv[1:] if argv is None else argv
    flags = parse(kind, f"{name}.py", text.partition("\n")[0], arguments, separator="-")
    return run(flags, check, partial(_work, module), ["python", "-m", f"moco_nonsem.{name}", *arguments])


def _work(module: str, flags: F, place: Place, command: list[str]) -> int:
    return importlib.import_module(module).work(flags, place, command)  # it needs torch


def run(flags: F, check: Callable[[F, int], object], work: Work[F], command: list[str]) -> int:
    """Exit code: 0 done, 1 training failed, 2 a mistake in flags or data, 130 stopped by the user.

    check(flags, processes) refuses what it can before torch is loaded; work(flags, place, command) is what each process
    does, and can be pickled for a new process; command: for the record.
    """

    def start() -> int:
        check(flags, 1)
        from common.pytorch.devices import usable_gpus  # it needs torch

        found = places(flags, usable_gpus(flags.device))
        check(flags, found[0].world_size)
        if len(found) == 1:
            return work(flags, found[0], command)
        return start_all(work, flags, found, command)

    return guarded(start)


def guarded(work: Callable[[], int]) -> int:
    """Runs the work of a process; see `guarded_training`."""
    return guarded_training(work, "interrupted; run the same command to resume from the last checkpoint", PLACES)
