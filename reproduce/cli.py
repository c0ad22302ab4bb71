"""Plan and run the experiments behind the papers' tables, and build the tables."""

from __future__ import annotations

import argparse

from common.flags import Parser, underscored
from common.program import guarded, printed
from reproduce.commands import results, run
from reproduce.gpu import command as gpu


def build_parser() -> argparse.ArgumentParser:
    """The commands and their flags."""
    parser = Parser(prog="python -m reproduce", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for family in (run, results, gpu):
        family.add_commands(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit code 0: done; 1: a run failed; 2: the user has to do something; 130: interrupted."""
    arguments = argparse.Namespace()

    def parse() -> None:  # $RUNS_DIR may name the home folder of nobody
        build_parser().parse_args(underscored(argv), arguments)

    if code := guarded(parse, "interrupted"):
        return code
    return guarded(
        lambda: printed(lambda: arguments.work(arguments)),
        "interrupted; run the same command to resume",
        places=" or ".join(f"--{name}" for name in ("runs_dir", "out") if hasattr(arguments, name)),
    )
