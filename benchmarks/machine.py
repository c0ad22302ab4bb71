"""When, how and on what a measurement was taken."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from common.machine import NO_BFLOAT16, has_bfloat16, machine, processor
from common.storage.files import atomic_write


def out_file(text: str) -> Path:
    """A file that can be written, for --out. Raises: ArgumentTypeError before minutes of measuring, not after them."""
    folder = os.path.dirname(text) or "."
    if not text or os.path.isdir(text) or not os.access(folder, os.W_OK | os.X_OK) or not os.path.isdir(folder):
        raise argparse.ArgumentTypeError(f"{text!r} is no file that can be written: name one in a folder that is there")
    return Path(text)


def described(module: str, argv: list[str] | None) -> dict:
    """Date, command and hardware of a measurement; argv: None for the words that this process was started with."""
    arguments = sys.argv[1:] if argv is None else argv
    return {
        "date": datetime.date.today().isoformat(),
        "command": f"python -m {module} {' '.join(arguments)}".strip(),
        "hardware": f"{os.cpu_count()} cores, {processor()}",
        "machine": machine(),
    }


def keep(report: dict, out: Path | None) -> None:
    """Write the report as JSON where --out was given."""
    if out:
        atomic_write(out, json.dumps(report, indent=2) + "\n")


def measures_bfloat16(on_cpu: bool) -> bool:
    """Whether bfloat16 is measured: not on a CPU without instructions for it, which is said on standard error."""
    if not on_cpu or has_bfloat16():
        return True
    print(f"bfloat16 is left out: {NO_BFLOAT16}", file=sys.stderr)
    return False


def left_out(variants: Mapping[str, Mapping], on_cpu: bool) -> dict[str, str]:
    """{variant: why it is not measured}; variants: {name: its options}, of which `amp` may be bf16."""
    in_bfloat16 = [name for name, options in variants.items() if options.get("amp") == "bf16"]
    return {} if not in_bfloat16 or measures_bfloat16(on_cpu) else dict.fromkeys(in_bfloat16, NO_BFLOAT16)
