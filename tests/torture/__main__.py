"""Campaigns of random kills, damaged files and hostile input: python -m tests.torture [NAME …] [--minutes MINUTES].

Runs what this Python's environment can run. Exit code: 0 when no campaign found a failure, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.machine import described
from common.storage.files import atomic_write
from tests.torture.campaigns import CAMPAIGNS, TENSORFLOW

SHOWN = 20  # failures of one campaign; the record holds them all


def chosen(names: list[str], here: str) -> list[str]:
    """`names`, or where there are none all campaigns of the environment `here`; TensorFlow's has those of any, too."""
    return names or [name for name, one in CAMPAIGNS.items() if here in (one.environments or (TENSORFLOW,))]


def run(name: str, seed: int, count: int | None, seconds: float, *only: tuple[str, ...]) -> dict[str, Any]:
    """One campaign's record; what it raises is a failure."""
    started = time.monotonic()
    try:
        found = CAMPAIGNS[name].function()(seed, count or CAMPAIGNS[name].count, seconds, *only)
    except Exception:
        found = {"counts": {}, "failures": [f"the campaign itself failed: {traceback.format_exc()}"]}
    return {"seconds": round(time.monotonic() - started, 1), "seed": seed, **found}


def show(name: str, record: dict[str, Any]) -> None:
    """The campaign's line of the table, and the first of its failures."""
    counted = ", ".join(f"{number} {what}" for what, number in record["counts"].items())
    print(f"{name:20} {record['seconds']:6.0f} s  {len(record['failures'])} failures  {counted}", flush=True)
    for failure in record["failures"][:SHOWN]:
        print(f"    {failure}", flush=True)


def save(path: Path, here: str, record: dict[str, Any], name: str) -> None:
    """Put the record of one campaign into the file, beside those of other commands, campaigns and environments."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    merge(kept, {name: {here: [record]}})
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(kept, indent=1, sort_keys=True) + "\n")


def merge(kept: dict[str, dict[str, list]], newer: dict[str, dict[str, list]]) -> None:
    """Put records {campaign: {environment: [record]}} beside those that are kept; of one command, the newer one."""
    for name, by_environment in newer.items():
        for here, records in by_environment.items():
            commands = [one["command"] for one in records]
            before = kept.setdefault(name, {}).setdefault(here, [])
            before[:] = [one for one in before if one["command"] not in commands] + records


def only(text: str) -> tuple[str, ...]:
    """Names of programs of `kills` that this environment runs. Raises: ArgumentTypeError."""
    from tests.torture.kill_programs import PROGRAMS

    here, names = Path(sys.prefix).name, tuple(text.split(","))
    known = [name for name, one in PROGRAMS.items() if one.environment == here]
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"there is no program {unknown[0]!r} here; there are: {', '.join(known)}")
    return names


def main(argv: list[str] | None = None) -> int:
    """Exit code 0: nothing failed; 1: something did."""
    words = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or some of: {', '.join(CAMPAIGNS)}")
    parser.add_argument("--seed", type=int, default=0, help="another seed tries other cases [0]")
    parser.add_argument("--count", type=int, help="cases of each campaign [each has its own]")
    parser.add_argument("--only", type=only, metavar="PROGRAM,…", help="kill these programs only; runs `kills` alone")
    parser.add_argument("--minutes", type=float, default=20.0, help="for all of them together [20]")
    parser.add_argument("--out", type=Path, help="JSON file to write; campaigns that do not run keep their place in it")
    options = parser.parse_args(words)
    if options.count is not None and options.count < 1:
        parser.error(f"--count={options.count}: must be 1 or more")
    if not options.minutes >= 0:
        parser.error(f"--minutes={options.minutes:g}: must be 0 or more")
    if unknown := [name for name in options.names if name not in CAMPAIGNS]:
        parser.error(f"there is no campaign {unknown[0]!r}; there are: {', '.join(CAMPAIGNS)}")
    if options.only and options.names not in ([], ["kills"]):
        parser.error(f"--only={','.join(options.only)}: these are programs to kill; name no other campaign than kills")
    here, end, failed = Path(sys.prefix).name, time.monotonic() + 60 * options.minutes, []
    names = ["kills"] if options.only else chosen(options.names, here)
    for name in names:
        if here not in (CAMPAIGNS[name].environments or (here,)):
            parser.error(f"{name} runs with {' or '.join(CAMPAIGNS[name].environments)}: not in {sys.prefix}")
    for place, name in enumerate(names):
        left = max(end - time.monotonic(), 1.0)
        share = left / (len(names) - place)  # what one campaign leaves unused, the others have
        print(f"{place + 1} of {len(names)}: {name}, at most {share:.0f} s; all: at most {left:.0f} s", flush=True)
        record = described("tests.torture", words) | run(
            name, options.seed, options.count, share, *([options.only] if options.only else [])
        )
        show(name, record)
        failed += [name] * bool(record["failures"])
        if options.out:
            save(options.out, here, record, name)
    print(f"{len(names)} campaigns, failures in: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
