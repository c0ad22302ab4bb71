"""Commands on finished runs and their records: plan, tables, report, curves, verify, keep, readme, import."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.results.result_table import FORMS
from reproduce import keep as kept
from reproduce import plan as plans
from reproduce import verify as scores
from reproduce.cells import DATA_DIR, EVIDENCE, ROOT, load_tables, select
from reproduce.commands import options
from reproduce.curves import draw_curves
from reproduce.gpu import keeping as gpu_sessions
from reproduce.report.page import write_report
from reproduce.runs import DONE, FOREIGN, Run, distinct, record_folders, records_of, runs_of
from reproduce.tables import paper_tables
from reproduce.tables.all_tables import EVERY, filled_tables
from reproduce.tables.imported import PROGRAMS, agreement, imported_tables, read_logs
from reproduce.tables.pages import pages, write_pages


def add_commands(commands: Any) -> None:
    """All of these with their flags."""
    text = "list done, running, interrupted and missing runs, and what the rest would cost"
    command = options.add_command(commands, "plan", text, plan, options.selection(), options.data())
    text, every = "write the tables from the finished runs", options.selection(meaning=EVERY)
    command = options.add_command(commands, "tables", text, tables, every)
    command.add_argument("--out", type=Path, help="folder for the files (default: tables in the runs' folder)")
    text = "one HTML page: every table, learning curves, and where each number comes from"
    command = options.add_command(commands, "report", text, report, every)
    command.add_argument("--out", type=Path, help="the page (default: report.html in the runs' folder)")
    text = "learning curves of run folders side by side, as a PNG"
    command = options.add_command(commands, "curves", text, curves)
    command.add_argument("folders", nargs="+", type=Path, help="run folders (with metrics.jsonl)")
    command.add_argument("--out", type=Path, required=True, help="the picture")
    text = "score finished runs again from their checkpoints and compare with their records"
    command = options.add_command(commands, "verify", text, verify, every, options.data())
    command.add_argument("folders", nargs="*", type=Path, help="records, at any depth (default: every finished run)")
    command.add_argument(
        "--tolerance",
        type=float,
        default=scores.TOLERANCE,
        help=f"largest allowed difference, as a fraction of 1 (default {scores.TOLERANCE})",
    )
    command.add_argument("--records_only", action="store_true", help="check the records only, score nothing again")
    text = "copy the records of finished runs into docs/evidence, without checkpoints"
    command = options.add_command(commands, "keep", text, keep, options.selection(EVIDENCE, "those of docs/evidence"))
    text = "instead, a session of gpu-evidence: the --out of its last piece; its section of the page is written, too"
    command.add_argument("--gpu", type=Path, metavar="OUT", help=text)
    text = "write the generated parts of the READMEs and docs/tables/"
    command = options.add_command(commands, "readme", text, readme)
    command.add_argument("--check", action="store_true", help="only list files that would change")
    text = "build tables from published logs and compare them with the published numbers"
    command = options.add_command(commands, "import", text, import_logs, options.runs())
    command.add_argument("sub_project", choices=tuple(PROGRAMS), help="sub-project that the logs belong to")
    command.add_argument("logs", type=Path, help="folder with the runs; configs and searches are read from beside it")


def plan(arguments: argparse.Namespace) -> int:
    """Print the state of every run, and the totals."""
    every: list[Run] = []
    for table in select(load_tables(arguments.cells), arguments.table):
        runs = runs_of(table.cells, arguments.seeds, arguments.runs_dir)
        every += runs
        print(plans.plan_text(table, distinct(runs)), end="\n\n")
    print(plans.totals(distinct(every), arguments.data_dir or ROOT / DATA_DIR))
    return 0


def tables(arguments: argparse.Namespace) -> int:
    """Print and write the tables."""
    folder = arguments.out or arguments.runs_dir / "tables"
    for table, runs in filled_tables(arguments.cells, arguments.table, arguments.seeds, arguments.runs_dir):
        print(paper_tables.filled(table, runs).write(folder))
    print(f"written to {folder} as {FORMS}", file=sys.stderr)
    return 0


def report(arguments: argparse.Namespace) -> int:
    """Write the page."""
    path = arguments.out or arguments.runs_dir / "report.html"
    write_report(filled_tables(arguments.cells, arguments.table, arguments.seeds, arguments.runs_dir), path)
    print(f"written to {path}: open it in a browser", file=sys.stderr)
    return 0


def curves(arguments: argparse.Namespace) -> int:
    """Draw the picture."""
    draw_curves(arguments.folders, arguments.out)
    print(f"written to {arguments.out}", file=sys.stderr)
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Print a finding on each record; 1 if one does not match."""
    if arguments.folders:
        folders = sorted({record for folder in arguments.folders for record in record_folders(folder.resolve())})
    else:
        filled = filled_tables(arguments.cells, arguments.table, arguments.seeds, arguments.runs_dir)
        done = [run for run in distinct([run for _, runs in filled for run in runs]) if run.state in (DONE, FOREIGN)]
        folders = [folder for run in done for _, folder in records_of(run) if not folder.is_relative_to(kept.RECORDS)]
    if not folders:
        raise UsageError("there is no finished run to verify; `python -m reproduce plan` lists all runs")
    wrong = 0
    for number, folder in enumerate(folders, 1):
        finding = scores.verify(folder, arguments.data_dir, arguments.tolerance, arguments.records_only)
        print(f"{number}/{len(folders)} {finding}", flush=True)
        wrong += bool(finding.problems)
    print(f"{len(folders) - wrong} of {len(folders)} records verified", file=sys.stderr)
    return 1 if wrong else 0


def keep(arguments: argparse.Namespace) -> int:
    """Copy the records."""
    if arguments.gpu:
        print(f"written: {gpu_sessions.keep_session(arguments.gpu, gpu_sessions.KEPT)}", file=sys.stderr)
        return write_readme()
    runs = [
        run
        for table in select(load_tables(arguments.cells), arguments.table)
        for run in runs_of(table.cells, arguments.seeds, arguments.runs_dir)
    ]
    folders = kept.keep(distinct(runs))
    print(
        f"{len(folders)} records kept in {kept.RECORDS}; `python -m reproduce readme` writes the pages",
        file=sys.stderr,
    )
    return 0


def readme(arguments: argparse.Namespace) -> int:
    """Write the pages, or name those that differ."""
    if arguments.check:
        changed = [path for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]
        for path in changed:
            print(f"{path} differs from the cells and records: run `python -m reproduce readme`", file=sys.stderr)
        return 1 if changed else 0
    return write_readme()


def write_readme() -> int:
    """Write the pages, and name them."""
    for path in write_pages():
        print(f"written: {path}", file=sys.stderr)
    return 0


def import_logs(arguments: argparse.Namespace) -> int:
    """Print and write the tables of the logs; 1 if a published number comes out differently."""
    folder = read_logs(arguments.sub_project, arguments.logs, arguments.runs_dir)
    filled = imported_tables(arguments.runs_dir, load_tables())
    for table, runs in filled:
        print(paper_tables.filled(table, runs).write(arguments.runs_dir / "tables"))
    same, others = agreement(filled)
    for text in others:
        print(f"differs: {text}", file=sys.stderr)
    print(
        f"{same} of {same + len(others)} published numbers to the last digit; written to {folder} and"
        f" {arguments.runs_dir / 'tables'}",
        file=sys.stderr,
    )
    return 1 if others else 0
