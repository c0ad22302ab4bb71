"""What `python -m reproduce claims` writes once the runs are done."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from common.results.tables import picture
from common.storage.files import atomic_write
from reproduce.claims import records
from reproduce.claims.definitions import Claim
from reproduce.claims.page import kept_findings, of_some_seeds, outcome, page
from reproduce.claims.pictures import draw
from reproduce.claims.verdicts import NOT_RUN, Finding, findings


def write_claims(arguments: argparse.Namespace, claims: Mapping[str, Claim], own: Mapping[str, Claim]) -> int:
    """Print what came out of the claims `own`, write records, pictures and page; 1 where a kept verdict differs.

    On other seeds than the claims': nothing is recorded, and page and pictures are written where a folder is given.
    """
    runs = records.runs_of_claims(own.values(), arguments.seeds, arguments.runs_dir)
    entries = records.entries(claims, runs)
    before = kept_findings(claims_file=arguments.cells)
    if arguments.seeds:
        found = findings(_with_seeds(own, arguments.seeds), records.numbers(entries))
        print(of_some_seeds(found, before, arguments.seeds))
        if arguments.out:
            _draw(found, entries, arguments.out)
            _write(arguments.out, of_some_seeds(found, before, arguments.seeds, arguments.out))
        return 0
    folder = records.DOCS if arguments.keep else arguments.out or arguments.runs_dir / "claims"
    records.write(entries, claims, folder)
    there = records.read(claims, records.DOCS) | records.read(claims, folder)  # all count in the correction
    found = findings(claims, records.numbers(there))
    _draw({name: found[name] for name in own if found[name].effects}, there, folder)
    print(outcome({name: found[name] for name in own}))
    _write(folder, page(found, folder))
    other = [name for name in own if before[name].verdict not in (NOT_RUN, found[name].verdict) and not arguments.keep]
    for name in other:
        print(f"{name}: {found[name].verdict} here, {before[name].verdict} in {records.DOCS}", file=sys.stderr)
    return 1 if other else 0


def _draw(found: Mapping[str, Finding], entries: records.Records, folder: Path) -> None:
    for name, finding in found.items():
        picture(folder / f"{name}.png", partial(draw, finding, entries))


def _write(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "README.md", text)
    print(f"written to {folder}: README.md and pictures", file=sys.stderr)


def _with_seeds(claims: Mapping[str, Claim], seeds: tuple[int, ...]) -> dict[str, Claim]:
    """The claims as if their cells asked for these seeds."""
    return {
        name: dataclasses.replace(claim, cells=tuple(dataclasses.replace(cell, seeds=seeds) for cell in claim.cells))
        for name, claim in claims.items()
    }
