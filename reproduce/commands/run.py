"""Commands that start runs: run, demo, claims."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.machine import cores, gpus
from common.storage.files import check_writable
from reproduce import plan
from reproduce.cells import DEMO, ROOT, load_tables, select
from reproduce.cells.files import CLAIMS
from reproduce.claims.command import write_claims
from reproduce.claims.definitions import chosen, load_claims
from reproduce.claims.records import runs_of_claims
from reproduce.claims.statistics import MOST_PAIRS
from reproduce.commands import options
from reproduce.demo_cells import make_data, prepare
from reproduce.demos.demo import summarise
from reproduce.engines.commands import exact_commands, in_shell
from reproduce.engines.local import RETRIES, LocalEngine
from reproduce.runs import DONE, FOREIGN, INTERRUPTED, Run, distinct, runs_of, state_again

CLAIMS_OF = {"demo-fsr": ("fsr-1", "fsr-2"), "demo-sln": ("sln-2", "sln-3", "sln-4"), "demo-moco": ("moco-1", "moco-4")}
SEEDS_OF_A_DEMO = 3
WHICH = {"choices": ("demo", *CLAIMS_OF), "default": "demo", "help": "which demo (default demo)"}


def add_commands(commands: Any) -> None:
    """run, demo and claims with their flags."""
    starting, text = options.starting(), "run what is missing of a table"
    which = options.selection(table={**options.ONE_TABLE, "required": True})
    command = options.add_command(commands, "run", text, run, which, starting)
    command.add_argument("--force", action="store_true", help="run even without a GPU")
    _add_engine(command)
    text = "compare methods on small data, some of them in claims of the papers: tables and pictures, in minutes"
    which = options.selection(None, "the demo's", table=WHICH)
    command = options.add_command(commands, "demo", text, demo, which, starting)
    command.add_argument("--out", type=Path, help="folder for the files (default: the demo's name)")
    text = "run the experiments behind the papers' claims and give a verdict on each"
    which = options.selection(CLAIMS, "the claims", "pilot seeds, 100 and up: printed, never kept", table=None)
    command = options.add_command(commands, "claims", text, claims, which, starting)
    command.add_argument("--claim", help="this claim only")
    command.add_argument("--out", type=Path, help="folder for page, pictures, records (default: claims in the runs')")
    command.add_argument("--keep", action="store_true", help="write into docs/claims instead")


def _add_engine(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="what starts the runs (default local)"
    )
    command.add_argument(
        "--retries",
        type=options.not_negative,
        default=RETRIES,
        help=f"times a killed run is restarted (default {RETRIES})",
    )
    ray = command.add_argument_group("ray")
    ray.add_argument(
        "--address",
        help="HOST:PORT of a running cluster's head, or `auto` (default: start one on this machine)",
    )
    ray.add_argument(
        "--cpus_per_run", type=options.positive, default=1, help="cores of one run (default 1); GPUs as its cell says"
    )
    ray.add_argument("--worker_dir", type=Path, help="folder for runs on workers that do not share --runs_dir")


def run(arguments: argparse.Namespace) -> int:
    """Do the runs that are missing of a table."""
    (table,) = select(load_tables(arguments.cells), arguments.table)
    runs = distinct(runs_of(table.cells, arguments.seeds, arguments.runs_dir))
    if not arguments.force and not arguments.dry_run:
        _check_gpus(table.name, plan.to_do(runs), len(gpus()), arguments.engine)
    return _do(arguments, runs, _ray_engine(arguments) if arguments.engine == "ray" else _local_engine(arguments, runs))


def demo(arguments: argparse.Namespace) -> int:
    """Do the runs of a demo, then print its tables and draw its pictures."""
    arguments.out = arguments.out or ROOT / arguments.table
    if arguments.table in CLAIMS_OF:
        return _claims(arguments, CLAIMS_OF[arguments.table], SEEDS_OF_A_DEMO)
    (table,) = select(load_tables(arguments.cells or DEMO), arguments.table)
    table = prepare(table, arguments.data_dir)
    code = _do_small(arguments, runs_of(table.cells, arguments.seeds, arguments.runs_dir))
    if code == 0 and not arguments.dry_run:
        runs = runs_of(table.cells, arguments.seeds, arguments.runs_dir)
        print("\n" + summarise(table, runs, arguments.out))
    return code


def claims(arguments: argparse.Namespace) -> int:
    """Do the runs behind the claims, then give a verdict on each."""
    return _claims(arguments, [arguments.claim] if arguments.claim else [])


def _claims(arguments: argparse.Namespace, names: Sequence[str], first: int | None = None) -> int:
    """The claims of these names, without any all of them, on their seeds or the first few of them."""
    arguments.cells = arguments.cells or CLAIMS
    known = load_claims(arguments.cells, arguments.data_dir)
    asked = chosen(known, names)
    if first is not None:
        arguments.seeds = arguments.seeds or asked[names[0]].cells[0].seeds[:first]
    if arguments.seeds and len(arguments.seeds) < 2 and not arguments.dry_run:
        raise UsageError(f"--seeds {arguments.seeds[0]}: an effect with its interval needs two seeds at least")
    if arguments.seeds and len(arguments.seeds) > MOST_PAIRS:
        raise UsageError(
            f"--seeds: {len(arguments.seeds)} of them; the exact test of a claim is for {MOST_PAIRS} at most"
        )
    for table in {table.name: table for claim in asked.values() for table in claim.tables}.values():
        make_data(table, arguments.dry_run)
    code = _do_small(arguments, runs_of_claims(asked.values(), arguments.seeds, arguments.runs_dir))
    return code if code or arguments.dry_run else write_claims(arguments, known, asked)


def _check_gpus(table: str, to_do: list[Run], count: int, engine: str) -> None:
    needed = max((run.cell.gpus for run in to_do), default=0)
    if engine == "ray" or count >= needed:
        return
    if not count:
        raise UsageError(
            f"table {table} is meant for GPUs and this machine has none. On a GPU it would take"
            f" {plan.gpu_cost(to_do)}; here about {plan.cpu_cost(to_do)}. To run it anyway:"
            " --force, or FORCE=1 with make. DRY_RUN=1 prints the commands, for another machine"
        )
    raise UsageError(
        f"a run of table {table} needs {needed} GPUs, this machine has {count}: with fewer GPUs"
        " the global batch would be smaller, so the result would not be comparable. To run it anyway:"
        " --force, or FORCE=1 with make"
    )


def _local_engine(arguments: argparse.Namespace, runs: list[Run]) -> Any:
    devices = gpus()
    jobs = arguments.jobs or _at_a_time(runs, devices)
    return LocalEngine(jobs, devices, arguments.data_dir, arguments.retries)


def _at_a_time(runs: list[Run], devices: list[str]) -> int:
    return max(1, len(devices)) if any(run.cell.gpus for run in runs) else cores()


def _ray_engine(arguments: argparse.Namespace) -> Any:
    from reproduce.engines.ray_cluster import RayEngine

    if arguments.worker_dir is not None and not arguments.worker_dir.is_absolute():
        raise UsageError(f"--worker_dir={arguments.worker_dir}: must be an absolute path that exists on the workers")
    return RayEngine(
        arguments.address,
        arguments.jobs,
        arguments.cpus_per_run,
        arguments.retries,
        arguments.data_dir,
        arguments.runs_dir,
        arguments.worker_dir,
        use_gpus=not arguments.force,
    )


def _do_small(arguments: argparse.Namespace, runs: list[Run]) -> int:
    """Do runs that take minutes on any machine. Raises: UsageError where another command has one of them."""
    devices = gpus()
    jobs = arguments.jobs or min(_at_a_time(runs, devices), len(runs))
    code = _do(arguments, runs, LocalEngine(jobs, devices, arguments.data_dir))
    if code or arguments.dry_run:
        return code
    if unfinished := [run.name for run in map(state_again, runs) if run.state != DONE]:
        raise UsageError(
            f"not finished: {', '.join(unfinished)}; where another command runs them, wait for it, and give this one "
            f"again; their log.txt are under {arguments.runs_dir}"
        )
    return 0


def _do(arguments: argparse.Namespace, runs: list[Run], engine: Any) -> int:
    """Print the commands of the runs, or do what is missing of them."""
    if arguments.dry_run:
        for run in runs:
            commands = exact_commands(run, arguments.data_dir)
            print(" && ".join(in_shell(command, arguments.data_dir) for command in commands))
        return 0
    for folder in (arguments.runs_dir, getattr(arguments, "out", None)):
        if folder is not None:
            check_writable(folder, "--runs_dir or --out")
    foreign = [run for run in runs if run.state == FOREIGN]
    for run in foreign:
        print(f"not started: {run.name}: {run.why}; {plan.WAY_OUT}", file=sys.stderr)
    waiting = sorted(plan.to_do(runs), key=lambda run: _order(run, arguments.seeds or run.cell.seeds))
    if waiting:
        done = len(runs) - len(waiting)
        at_a_time = f"{min(engine.jobs, len(waiting))} at a time" if engine.jobs else "as the cluster allows"
        print(
            f"{len(waiting)} runs to do ({done} of {len(runs)} already done or skipped), {at_a_time}", file=sys.stderr
        )
    failed = engine.run(waiting)
    if failed:
        print(f"{len(failed)} runs failed: {', '.join(run.name for run in failed)}", file=sys.stderr)
    return 1 if failed or foreign else 0


def _order(run: Run, seeds: tuple[int, ...]) -> tuple[bool, int, float]:
    """Interrupted runs first; then the first seed of every cell, so that a table is there when stopped early.

    Of one seed the longest first: no core waits long for the last run.
    """
    seconds = run.cell.steps * run.cell.cost.cpu_step_seconds
    return run.state != INTERRUPTED, seeds.index(run.seed), -seconds
