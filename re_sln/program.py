"""What the three training programs have in common: flags in, exit code out."""

from __future__ import annotations

import sys

from common.environment import torchrun
from common.program import guarded_training
from re_sln.settings.flags import PLACES, PROGRAMS, Flags, Program, parse_flags


def main(name: str, argv: list[str] | None) -> int:
    """Exit code: 0 done, 1 training failed, 2 a mistake in flags or data, 130 stopped by the user."""
    arguments = sys.argv[1:] if argv is None else argv
    program = PROGRAMS[name]

    def train() -> int:
        flags = flags_of(program, arguments)  # answers --help, before even numpy is loaded
        if flags.evaluate and not flags.check:
            from re_sln import rescoring

            return rescoring.rescore(flags)  # of the run in the folder, whatever other flags say
        from re_sln.settings.config import resolve

        # Refuses what it can before torch is loaded.
        config = resolve(program, flags, (torchrun() or {"WORLD_SIZE": 1})["WORLD_SIZE"])
        from re_sln.training import experiment

        return experiment.run(config, ["python", "-m", f"re_sln.{name}", *arguments])

    return guarded_training(train, "interrupted; if it has a checkpoint, resume it with --resume RUN", PLACES)


def flags_of(program: Program, arguments: list[str]) -> Flags:
    """The flags of a command line; with --resume those that the run was started with are the defaults."""
    flags = parse_flags(program, arguments)
    if flags.resume:
        from re_sln.training.run_folder import find_run, settings_of

        flags = parse_flags(program, arguments, settings_of(find_run(flags.resume), program))
    return flags
