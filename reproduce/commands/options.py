"""Flags that several commands have; each function returns a new parser, for `parents=`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.paths import runs_dir, user_path

ONE_TABLE: Mapping[str, Any] = {"help": "this table only"}


def add_command(
    commands: Any, name: str, text: str, work: Callable[[argparse.Namespace], int], *parents: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    """A command whose text is in the list of commands and in its own help; `work` gets the parsed flags."""
    command = commands.add_parser(name, help=text, description=text, parents=parents)
    command.set_defaults(work=work)
    return command


def runs() -> argparse.ArgumentParser:
    """--runs_dir."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--runs_dir",
        type=lambda text: user_path(text).resolve(),
        default=runs_dir().resolve(),
        help="where runs are (default $RUNS_DIR, else runs/)",
    )
    return parser


def selection(
    cells: Path | None = None,
    meaning: str = "the papers' tables",
    seeds: str = "seeds separated by commas, instead of each cell's own",
    table: Mapping[str, Any] | None = ONE_TABLE,
) -> argparse.ArgumentParser:
    """--runs_dir, --cells, --seeds, --table. meaning: what is in `cells`; seeds: a help text; table: None for none."""
    parser = argparse.ArgumentParser(add_help=False, parents=[runs()])
    parser.add_argument("--cells", type=Path, default=cells, help=f"file with the cells (default: {meaning})")
    parser.add_argument("--seeds", type=_seeds, help=seeds)
    if table is not None:
        parser.add_argument("--table", **table)
    return parser


def data() -> argparse.ArgumentParser:
    """--data_dir; None: the programs' own default."""
    parser, given = argparse.ArgumentParser(add_help=False), os.environ.get("DATA_DIR")
    parser.add_argument(
        "--data_dir",
        type=lambda text: user_path(text).resolve(),
        default=user_path(given).resolve() if given else None,
        help="where data sets are (default $DATA_DIR, else data/cache)",
    )
    return parser


def starting() -> argparse.ArgumentParser:
    """--data_dir, --jobs and --dry_run."""
    parser = argparse.ArgumentParser(add_help=False, parents=[data()])
    parser.add_argument("--jobs", type=positive, help="runs at a time (default: as many as GPUs, else as cores)")
    parser.add_argument("--dry_run", action="store_true", help="print the exact commands and stop")
    return parser


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a positive integer")
    return int(text)


def not_negative(text: str) -> int:
    """A whole number from 0 on."""
    return 0 if text == "0" else positive(text)


def _seeds(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.replace(",", " ").split())
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f"{text!r}: seeds must be distinct non-negative integers, e.g. 0,1,2")
    return numbers
