"""Commands that show runs: plan, tables, report, curves."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from common.result_table import FORMS
from reproduce import plan as plans
from reproduce.cells import DATA_DIR, ROOT, load_tables, select
from reproduce.commands import options
from reproduce.curves import draw_curves
from reproduce.report.page import write_report
from reproduce.runs import Run, distinct, runs_of
from reproduce.tables import paper_tables
from reproduce.tables.all_tables import EVERY, filled_tables


def add_commands(commands: Any) -> None:
    """plan, tables, report and curves with their flags."""
    text = "list done, running, interrupted and missing runs, and what the rest would cost"
    command = options.add_command(commands, "plan", text, plan, options.selection(), options.data())
    command.add_argument("--table", help="this table only")
    text, every = "write the tables from the finished runs", options.selection(meaning=EVERY)
    command = options.add_command(commands, "tables", text, tables, every)
    command.add_argument("--table", help="this table only")
    command.add_argument("--out", type=Path, help="folder for the files (default: tables in the runs' folder)")
    text = "one HTML page: every table, learning curves, and where each number comes from"
    command = options.add_command(commands, "report", text, report, every)
    command.add_argument("--table", help="this table only")
    command.add_argument("--out", type=Path, help="the page (default: report.html in the runs' folder)")
    text = "learning curves of run folders side by side, as a PNG"
    command = options.add_command(commands, "curves", text, curves)
    command.add_argument("folders", nargs="+", type=Path, help="run folders (with metrics.jsonl)")
    command.add_argument("--out", type=Path, required=True, help="the picture")


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
