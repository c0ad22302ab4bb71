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


def run_program(
    kind: type[F], name: str, text: str, check: Callable[[F, int], object], module: str, argv: list[str] | None
) -> int:
    """Exit code of the program `name`: 0 done, 1 it failed, 2 a mistake in flags or data, 130 stopped by the user.

    text: its first line is the program's description; check(flags, processes) refuses what it can before torch is
    loaded; module: has work(flags, group, command), which is what each process does.
    """
    arguments = sys.argv[1:] if argv is None else argv
    flags = parse(kind, f"{name}.py", text.partition("\n")[0], arguments, separator="-")
    command = ["python", "-m", f"moco_nonsem.{name}", *arguments]
    work = partial(_work, module)  # which can be pickled for a new process

    def start() -> int:
        check(flags, 1)
        from common.pytorch.devices import usable_gpus  # it needs torch

        found = places(flags, usable_gpus(flags.device))
        check(flags, found[0].world_size)
        if len(found) == 1:
            return work(flags, found[0], command)
        return start_all(work, flags, found, command)

    return guarded(start)


def _work(module: str, flags: Common, place: Place, command: list[str]) -> int:
    def start() -> int:
        from moco_nonsem.running.distributed import in_group  # they need torch

        program = importlib.import_module(module)
        return in_group(place, lambda group: program.work(flags, group, command))

    return guarded(start)


def guarded(work: Callable[[], int]) -> int:
    """Runs the work of a process; see `guarded_training`."""
    return guarded_training(work, "interrupted; run the same command to resume from the last checkpoint", PLACES)
