"""`python -m reproduce`: what to run for the papers' tables, running it, and the tables."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from reproduce import demo, demo_sln, paper_tables, plan
from reproduce.cells import CELLS, DEMO, ROOT, load_tables, select
from reproduce.command_line import underscored
from reproduce.curves import draw_curves
from reproduce.errors import ReproduceError
from reproduce.local_engine import LocalEngine, printable
from reproduce.machine import cores, gpus
from reproduce.runs import DONE, FOREIGN, INTERRUPTED, Run, distinct, runs_of

DEMOS = {"demo": demo.summarise, "demo-sln": demo_sln.summarise}


def build_parser() -> argparse.ArgumentParser:
    """The commands and their flags."""
    parser = argparse.ArgumentParser(prog="python -m reproduce", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    helps = {
        "plan": "what is done, running, interrupted and missing, and what it would cost",
        "run": "do the missing runs of a table",
        "tables": "write the tables from the runs there are",
        "demo": "methods side by side on noisy digits: a table and pictures, in minutes",
    }
    for name, text in helps.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--cells", type=Path, default=DEMO if name == "demo" else CELLS, help="file with the cells"
        )
        command.add_argument("--runs_dir", type=Path, help="where runs are (default $RUNS_DIR, else runs/)")
        command.add_argument("--seeds", type=_seeds, help="seeds with commas between, instead of each cell's own")
        if name == "demo":
            command.add_argument("--table", choices=tuple(DEMOS), default="demo", help="which demo (default demo)")
        else:
            command.add_argument("--table", required=name == "run", help="this table only")
        if name in ("run", "demo"):
            command.add_argument(
                "--data_dir", type=Path, help="where data sets are (default $DATA_DIR, else data/cache)"
            )
            command.add_argument(
                "--jobs", type=_jobs, help="runs at a time (default: as many as GPUs; demo: as many as cores)"
            )
            command.add_argument("--dry_run", action="store_true", help="print the exact commands and stop")
        if name == "run":
            command.add_argument("--engine", default="local", help="what starts the runs (default local)")
            command.add_argument("--force", action="store_true", help="run even without a GPU")
        if name in ("tables", "demo"):
            default = "the demo's name" if name == "demo" else "tables in the runs' folder"
            command.add_argument("--out", type=Path, help=f"folder for the files (default: {default})")
    curves = commands.add_parser("curves", help="learning curves of run folders side by side, as a PNG")
    curves.add_argument("folders", nargs="+", type=Path, help="run folders (with metrics.jsonl)")
    curves.add_argument("--out", type=Path, required=True, help="the picture")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit code 0: done; 1: a run failed; 2: the user has to do something; 130: interrupted."""
    words = sys.argv[1:] if argv is None else argv
    arguments = build_parser().parse_args([underscored(word) for word in words])
    if arguments.command != "curves":
        arguments.runs_dir = (arguments.runs_dir or ROOT / os.environ.get("RUNS_DIR", "runs")).resolve()
    try:
        return {"plan": _plan, "run": _run, "tables": _tables, "demo": _demo, "curves": _curves}[arguments.command](
            arguments
        )
    except ReproduceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _plan(arguments: argparse.Namespace) -> int:
    for table in select(load_tables(arguments.cells), arguments.table):
        runs = distinct(runs_of(table.cells, arguments.seeds, arguments.runs_dir))
        print(plan.plan_text(table, runs), end="\n\n")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    if arguments.engine != "local":
        raise ReproduceError(
            f"--engine {arguments.engine}: only 'local' is there; 'ray' comes with the cluster engine. Leave it out"
        )
    (table,) = select(load_tables(arguments.cells), arguments.table)
    runs = distinct(runs_of(table.cells, arguments.seeds, arguments.runs_dir))
    devices = gpus()
    if _needs_gpu(plan.to_do(runs)) and not (devices or arguments.force or arguments.dry_run):
        raise ReproduceError(
            f"table {table.name} is meant for GPUs and this machine has none. On a GPU it would take"
            f" {plan.gpu_cost(plan.to_do(runs))}; here about {plan.cpu_cost(plan.to_do(runs))}. To run it all the same:"
            " --force, or FORCE=1 with make. DRY_RUN=1 prints the commands, for another machine"
        )
    return _do(arguments, runs, arguments.jobs or max(1, len(devices)), devices)


def _demo(arguments: argparse.Namespace) -> int:
    (table,) = select(load_tables(arguments.cells), arguments.table)
    table = demo.prepare(table)
    runs = runs_of(table.cells, arguments.seeds, arguments.runs_dir)
    devices = gpus()
    code = _do(arguments, runs, arguments.jobs or len(devices) or min(cores(), len(runs)), devices)
    if code == 0 and not arguments.dry_run:
        runs = runs_of(table.cells, arguments.seeds, arguments.runs_dir)
        unfinished = [run.name for run in runs if run.state != DONE]
        if unfinished:
            raise ReproduceError(f"not finished: {', '.join(unfinished)}; see their log.txt under {arguments.runs_dir}")
        print("\n" + DEMOS[table.name](table, runs, arguments.out or ROOT / table.name))
    return code


def _curves(arguments: argparse.Namespace) -> int:
    draw_curves(arguments.folders, arguments.out)
    print(f"written to {arguments.out}", file=sys.stderr)
    return 0


def _tables(arguments: argparse.Namespace) -> int:
    folder = arguments.out or arguments.runs_dir / "tables"
    for table in select(load_tables(arguments.cells), arguments.table):
        print(paper_tables.write(table, runs_of(table.cells, arguments.seeds, arguments.runs_dir), folder))
    print(f"written to {folder} as Markdown, CSV and PNG", file=sys.stderr)
    return 0


def _do(arguments: argparse.Namespace, runs: list[Run], jobs: int, devices: list[str]) -> int:
    """Print the commands of the runs, or do what is missing of them."""
    data_dir = arguments.data_dir or os.environ.get("DATA_DIR")
    data_dir = Path(data_dir).resolve() if data_dir else None
    if arguments.dry_run:
        for run in runs:
            print(printable(run, data_dir))
        return 0

    def seeds(run: Run) -> tuple[int, ...]:  # the first seed of every cell first: stopped early, a table is there
        return arguments.seeds or run.cell.seeds

    foreign = [run for run in runs if run.state == FOREIGN]
    for run in foreign:
        print(f"not started: {run.name}: {run.why}; move it away to run this one", file=sys.stderr)
    waiting = sorted(plan.to_do(runs), key=lambda run: (run.state != INTERRUPTED, seeds(run).index(run.seed)))
    if waiting:
        done, jobs = len(runs) - len(waiting), min(jobs, len(waiting))
        print(f"{len(waiting)} runs to do, {done} of {len(runs)} not needed, {jobs} at a time", file=sys.stderr)
    failed = LocalEngine(jobs, devices, data_dir).run(waiting)
    if failed:
        print(f"{len(failed)} runs failed: {', '.join(run.name for run in failed)}", file=sys.stderr)
    return 1 if failed or foreign else 0


def _needs_gpu(runs: list[Run]) -> bool:
    return any(run.cell.gpus for run in runs)


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(part) for part in text.replace(",", " ").split())
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r}: seeds are different integers from 0 on, such as 0,1,2")
    return seeds


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: the number of runs at a time is an integer from 1 on")
    return int(text)
