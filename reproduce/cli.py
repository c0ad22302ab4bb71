"""Plan and run the experiments behind the papers' tables, and build the tables."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Protocol

from common.errors import UsageError
from common.flags import underscored
from common.machine import cores, gpus
from common.program import guarded, printed
from reproduce import plan
from reproduce.cells import DATA_DIR, DEMO, EVIDENCE, ROOT, load_tables, select
from reproduce.claims.command import add_claims, write_claims
from reproduce.claims.definitions import chosen, load_claims
from reproduce.claims.records import runs_of_claims
from reproduce.curves import draw_curves
from reproduce.demo_cells import make_data, prepare
from reproduce.demos import demo
from reproduce.demos import fsr as demo_fsr
from reproduce.demos import moco as demo_moco
from reproduce.demos import sln as demo_sln
from reproduce.engines.local import RETRIES, LocalEngine, printable
from reproduce.keep import RECORDS, keep
from reproduce.report.page import write_report
from reproduce.runs import DONE, FOREIGN, INTERRUPTED, Run, distinct, record_folders, records_of, runs_of
from reproduce.tables import paper_tables
from reproduce.tables.all_tables import filled_tables
from reproduce.tables.imported import PROGRAMS, agreement, imported_tables, read_logs
from reproduce.tables.pages import pages, write_pages
from reproduce.verify import TOLERANCE, verify


class Engine(Protocol):
    """Does runs, `jobs` at a time if that is fixed."""

    jobs: Any

    def run(self, runs: list[Run]) -> list[Run]:
        """Do these; returns those that failed."""
        ...


DEMOS = {
    "demo": demo.summarise,
    "demo-sln": demo_sln.summarise,
    "demo-moco": demo_moco.summarise,
    "demo-fsr": demo_fsr.summarise,
}


def build_parser() -> argparse.ArgumentParser:
    """The commands and their flags."""
    parser = argparse.ArgumentParser(prog="python -m reproduce", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    helps = {
        "plan": "list done, running, interrupted and missing runs, and what the rest would cost",
        "run": "run what is missing of a table",
        "tables": "write the tables from the finished runs",
        "report": "one HTML page: every table, learning curves, and where each number comes from",
        "keep": "copy the records of finished runs into docs/evidence, without checkpoints",
        "demo": "compare methods on small data: a table and pictures, in minutes",
    }
    for name, text in helps.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--cells",
            type=Path,
            default={"demo": DEMO, "keep": EVIDENCE}.get(name),
            help="file with the cells",
        )
        command.add_argument("--runs_dir", type=Path, help="where runs are (default $RUNS_DIR, else runs/)")
        command.add_argument("--seeds", type=_seeds, help="seeds separated by commas, instead of each cell's own")
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
            command.add_argument("--force", action="store_true", help="run even without a GPU")
            _add_engine(command)
        if name in ("tables", "demo"):
            default = "the demo's name" if name == "demo" else "tables in the runs' folder"
            command.add_argument("--out", type=Path, help=f"folder for the files (default: {default})")
        if name == "report":
            command.add_argument("--out", type=Path, help="the page (default: report.html in the runs' folder)")
    _add_verify(commands)
    add_claims(commands, _seeds, _jobs)
    text = "write the generated parts of the READMEs and docs/tables/"
    readme = commands.add_parser("readme", help=text, description=text)
    readme.add_argument("--check", action="store_true", help="only list files that would change")
    text = "build tables from published logs and compare them with the published numbers"
    imports = commands.add_parser("import", help=text, description=text)
    imports.add_argument("sub_project", choices=tuple(PROGRAMS), help="sub-project that the logs belong to")
    imports.add_argument("logs", type=Path, help="folder with the runs; configs and searches are read from beside it")
    imports.add_argument(
        "--runs_dir", type=Path, help="where the tables go, in imported/ (default $RUNS_DIR, else runs/)"
    )
    curves = commands.add_parser("curves", help="learning curves of run folders side by side, as a PNG")
    curves.add_argument("folders", nargs="+", type=Path, help="run folders (with metrics.jsonl)")
    curves.add_argument("--out", type=Path, required=True, help="the picture")
    return parser


def _add_engine(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="what starts the runs (default local)"
    )
    command.add_argument(
        "--retries", type=int, default=RETRIES, help=f"times a killed run is restarted (default {RETRIES})"
    )
    ray = command.add_argument_group("ray")
    ray.add_argument(
        "--address",
        help="HOST:PORT of a running cluster's head, or `auto` (default: start one on this machine)",
    )
    ray.add_argument(
        "--cpus_per_run", type=_jobs, default=1, help="cores of one run (default 1); GPUs as its cell says"
    )
    ray.add_argument("--worker_dir", type=Path, help="folder for runs on workers that do not share --runs_dir")


def _add_verify(commands: Any) -> None:
    text = "score finished runs again from their checkpoints and compare with their records"
    command = commands.add_parser("verify", help=text, description=text)
    command.add_argument("folders", nargs="*", type=Path, help="records, at any depth (default: every finished run)")
    command.add_argument("--runs_dir", type=Path, help="where runs are (default $RUNS_DIR, else runs/)")
    command.add_argument("--cells", type=Path, help="file with the cells")
    command.add_argument("--table", help="this table only")
    command.add_argument("--seeds", type=_seeds, help="seeds separated by commas, instead of each cell's own")
    command.add_argument("--data_dir", type=Path, help="where data sets are (default $DATA_DIR, else data/cache)")
    command.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        help=f"largest allowed difference, as a fraction of 1 (default {TOLERANCE})",
    )
    command.add_argument("--records_only", action="store_true", help="check the records only, score nothing again")


def main(argv: list[str] | None = None) -> int:
    """Exit code 0: done; 1: a run failed; 2: the user has to do something; 130: interrupted."""
    words = sys.argv[1:] if argv is None else argv
    arguments = build_parser().parse_args([underscored(word) for word in words])
    if hasattr(arguments, "runs_dir"):
        arguments.runs_dir = (arguments.runs_dir or ROOT / os.environ.get("RUNS_DIR", "runs")).resolve()
    work = COMMANDS[arguments.command]
    return guarded(
        lambda: printed(lambda: work(arguments)),
        "interrupted; run the same command to resume",
        places=" or ".join(f"--{name}" for name in ("runs_dir", "out") if hasattr(arguments, name)),
    )


def _plan(arguments: argparse.Namespace) -> int:
    every: list[Run] = []
    for table in select(load_tables(arguments.cells), arguments.table):
        runs = runs_of(table.cells, arguments.seeds, arguments.runs_dir)
        every += runs
        print(plan.plan_text(table, distinct(runs)), end="\n\n")
    print(plan.totals(distinct(every), ROOT / (os.environ.get("DATA_DIR") or DATA_DIR)))
    return 0


def _run(arguments: argparse.Namespace) -> int:
    (table,) = select(load_tables(arguments.cells), arguments.table)
    runs = distinct(runs_of(table.cells, arguments.seeds, arguments.runs_dir))
    devices = gpus()
    elsewhere = arguments.engine == "ray" or arguments.dry_run
    if _needs_gpu(plan.to_do(runs)) and not (devices or arguments.force or elsewhere):
        raise UsageError(
            f"table {table.name} is meant for GPUs and this machine has none. On a GPU it would take"
            f" {plan.gpu_cost(plan.to_do(runs))}; here about {plan.cpu_cost(plan.to_do(runs))}. To run it all the same:"
            " --force, or FORCE=1 with make. DRY_RUN=1 prints the commands, for another machine"
        )
    needed = max((run.cell.gpus for run in plan.to_do(runs)), default=0)
    if arguments.engine == "local" and 0 < len(devices) < needed and not (arguments.force or arguments.dry_run):
        raise UsageError(
            f"a run of table {table.name} needs {needed} GPUs, this machine has {len(devices)}: with fewer GPUs"
            " the global batch would be smaller, so the result would not be comparable. To run it all the same:"
            " --force, or FORCE=1 with make"
        )
    if arguments.engine == "local":
        jobs = arguments.jobs or (max(1, len(devices)) if _needs_gpu(runs) else cores())
        return _do(arguments, runs, LocalEngine(jobs, devices, _data_dir(arguments), arguments.retries))
    from reproduce.engines.ray_cluster import RayEngine

    if arguments.worker_dir is not None and not arguments.worker_dir.is_absolute():
        raise UsageError(f"--worker_dir={arguments.worker_dir}: must be an absolute path that exists on the workers")
    engine = RayEngine(
        arguments.address,
        arguments.jobs,
        arguments.cpus_per_run,
        arguments.retries,
        _data_dir(arguments),
        arguments.runs_dir,
        arguments.worker_dir,
        use_gpus=not arguments.force,
    )
    return _do(arguments, runs, engine)


def _demo(arguments: argparse.Namespace) -> int:
    (table,) = select(load_tables(arguments.cells), arguments.table)
    table = prepare(table, _data_dir(arguments))
    make_data(table, arguments.dry_run)
    runs = distinct(runs_of(table.cells, arguments.seeds, arguments.runs_dir))
    devices = gpus()
    jobs = arguments.jobs or len(devices) or min(cores(), len(runs))
    code = _do(arguments, runs, LocalEngine(jobs, devices, _data_dir(arguments)))
    if code == 0 and not arguments.dry_run:
        runs = runs_of(table.cells, arguments.seeds, arguments.runs_dir)
        unfinished = [run.name for run in runs if run.state != DONE]
        if unfinished:
            raise UsageError(f"not finished: {', '.join(unfinished)}; see their log.txt under {arguments.runs_dir}")
        print("\n" + DEMOS[table.name](table, runs, arguments.out or ROOT / table.name))
    return code


def _claims(arguments: argparse.Namespace) -> int:
    claims = load_claims(arguments.cells, _data_dir(arguments))
    own = chosen(claims, arguments.claim)
    for table in {table.name: table for claim in own.values() for table in claim.tables}.values():
        make_data(table, arguments.dry_run)
    runs = runs_of_claims(own.values(), arguments.seeds, arguments.runs_dir)
    devices = gpus()
    jobs = arguments.jobs or len(devices) or min(cores(), len(runs))
    code = _do(arguments, runs, LocalEngine(jobs, devices, _data_dir(arguments)))
    return code if code or arguments.dry_run else write_claims(arguments, claims, own)


def _curves(arguments: argparse.Namespace) -> int:
    draw_curves(arguments.folders, arguments.out)
    print(f"written to {arguments.out}", file=sys.stderr)
    return 0


def _tables(arguments: argparse.Namespace) -> int:
    folder = arguments.out or arguments.runs_dir / "tables"
    for table, runs in filled_tables(arguments.cells, arguments.table, arguments.seeds, arguments.runs_dir):
        print(paper_tables.write(table, runs, folder))
    print(f"written to {folder} as {paper_tables.FORMS}", file=sys.stderr)
    return 0


def _report(arguments: argparse.Namespace) -> int:
    path = arguments.out or arguments.runs_dir / "report.html"
    write_report(filled_tables(arguments.cells, arguments.table, arguments.seeds, arguments.runs_dir), path)
    print(f"written to {path}: open it in a browser", file=sys.stderr)
    return 0


def _import(arguments: argparse.Namespace) -> int:
    folder = read_logs(arguments.sub_project, arguments.logs, arguments.runs_dir)
    filled = imported_tables(arguments.runs_dir, load_tables())
    for table, runs in filled:
        print(paper_tables.write(table, runs, arguments.runs_dir / "tables"))
    same, others = agreement(filled)
    for text in others:
        print(f"differs: {text}", file=sys.stderr)
    print(
        f"{same} of {same + len(others)} published numbers to the last digit; written to {folder} and"
        f" {arguments.runs_dir / 'tables'}",
        file=sys.stderr,
    )
    return 1 if others else 0


def _keep(arguments: argparse.Namespace) -> int:
    found = [
        run
        for table in select(load_tables(arguments.cells), arguments.table)
        for run in runs_of(table.cells, arguments.seeds, arguments.runs_dir)
    ]
    folders = keep(distinct(found))
    print(f"{len(folders)} records kept in {RECORDS}; `python -m reproduce readme` writes the pages", file=sys.stderr)
    return 0


def _readme(arguments: argparse.Namespace) -> int:
    if arguments.check:
        changed = [path for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]
        for path in changed:
            print(
                f"{path} is not what the cells files and the records give; `python -m reproduce readme`",
                file=sys.stderr,
            )
        return 1 if changed else 0
    for path in write_pages():
        print(f"written: {path}", file=sys.stderr)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    if arguments.folders:
        folders = sorted({found for folder in arguments.folders for found in record_folders(folder.resolve())})
    else:
        filled = filled_tables(arguments.cells, arguments.table, arguments.seeds, arguments.runs_dir)
        done = [run for run in distinct([run for _, runs in filled for run in runs]) if run.state in (DONE, FOREIGN)]
        folders = [folder for run in done for _, folder in records_of(run) if not folder.is_relative_to(RECORDS)]
    if not folders:
        raise UsageError("there is no finished run to verify; `python -m reproduce plan` says what there is")
    data_dir, wrong = _data_dir(arguments), 0
    for number, folder in enumerate(folders, 1):
        found = verify(folder, data_dir, arguments.tolerance, arguments.records_only)
        print(f"{number}/{len(folders)} {found}", flush=True)
        wrong += bool(found.problems)
    print(f"{len(folders) - wrong} of {len(folders)} records verified", file=sys.stderr)
    return 1 if wrong else 0


def _data_dir(arguments: argparse.Namespace) -> Path | None:
    data_dir = arguments.data_dir or os.environ.get("DATA_DIR")
    return Path(data_dir).resolve() if data_dir else None


def _do(arguments: argparse.Namespace, runs: list[Run], engine: Engine) -> int:
    """Print the commands of the runs, or do what is missing of them."""
    if arguments.dry_run:
        for run in runs:
            print(printable(run, _data_dir(arguments)))
        return 0

    def seeds(run: Run) -> tuple[int, ...]:  # the first seed of every cell first: stopped early, a table is there
        return arguments.seeds or run.cell.seeds

    foreign = [run for run in runs if run.state == FOREIGN]
    for run in foreign:
        print(f"not started: {run.name}: {run.why}; {plan.WAY_OUT}", file=sys.stderr)

    def order(run: Run) -> tuple[bool, int, float]:
        # of one seed the longest first: no core waits long for the last run
        seconds = run.cell.steps * run.cell.cost.cpu_step_seconds
        return run.state != INTERRUPTED, seeds(run).index(run.seed), -seconds

    waiting = sorted(plan.to_do(runs), key=order)
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


def _needs_gpu(runs: list[Run]) -> bool:
    return any(run.cell.gpus for run in runs)


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(part) for part in text.replace(",", " ").split())
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r}: seeds must be distinct non-negative integers, e.g. 0,1,2")
    return seeds


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a positive integer")
    return int(text)


COMMANDS = {
    "plan": _plan,
    "run": _run,
    "tables": _tables,
    "report": _report,
    "verify": _verify,
    "import": _import,
    "keep": _keep,
    "readme": _readme,
    "demo": _demo,
    "claims": _claims,
    "curves": _curves,
}
