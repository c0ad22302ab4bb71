"""What `python -m reproduce claims` writes once the runs are done."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from functools import partial

from common.results.tables import picture
from common.storage.files import atomic_write
from reproduce.claims import records
from reproduce.claims.definitions import Claim
from reproduce.claims.page import kept_findings, page, table
from reproduce.claims.pictures import draw
from reproduce.claims.verdicts import NOT_RUN, findings


def write_claims(arguments: argparse.Namespace, claims: Mapping[str, Claim], own: Mapping[str, Claim]) -> int:
    """Print the table of the claims `own` and write records, pictures and page; 1 where a kept verdict differs."""
    runs = records.runs_of_claims(own.values(), arguments.seeds, arguments.runs_dir)
    entries = records.entries(claims, runs)
    if arguments.seeds:
        asked = _with_seeds(own, arguments.seeds)
        print(table(findings(asked, records.numbers(entries))))
        return 0
    folder = records.DOCS if arguments.keep else arguments.out or arguments.runs_dir / "claims"
    before = kept_findings(claims_file=arguments.cells)
    records.write(entries, claims, folder)
    there = records.read(claims, records.DOCS) | records.read(claims, folder)  # all count in the correction
    found = findings(claims, records.numbers(there))
    for name, finding in found.items():
        if finding.effects and name in own:
            picture(folder / f"{name}.png", partial(draw, finding, there))
    atomic_write(folder / "README.md", page(found, folder))
    print(table({name: found[name] for name in own}))
    print(f"written to {folder}", file=sys.stderr)
    other = [name for name in own if before[name].verdict not in (NOT_RUN, found[name].verdict) and not arguments.keep]
    for name in other:
        print(f"{name}: {found[name].verdict} here, {before[name].verdict} in {records.DOCS}", file=sys.stderr)
    return 1 if other else 0


def _with_seeds(claims: Mapping[str, Claim], seeds: tuple[int, ...]) -> dict[str, Claim]:
    """The claims as if their cells asked for these seeds."""
    return {
        name: dataclasses.replace(claim, cells=tuple(dataclasses.replace(cell, seeds=seeds) for cell in claim.cells))
        for name, claim in claims.items()
    }
