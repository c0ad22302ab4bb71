"""Whether the suite works on this machine's GPUs, and how fast: `make check-gpu`.

Runs the tests marked `gpu` in both environments, and keeps a table of what ran, against the CPU and the published
hours. Exit code 0: all passed; 1: a test failed; 2: there is no GPU that can be used, and why.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.machine import out_file
from common.errors import UsageError
from common.flags import Parser
from common.program import guarded
from common.pytorch.gpu import driver_version, require_driver, require_framework
from common.storage.files import atomic_write

ROOT = Path(__file__).resolve().parent.parent
# Environment, its framework, its tests.
PARTS = (("pytorch", "torch", "tests/gpu/pytorch_gpu"), ("tensorflow", "tensorflow", "tests/gpu/tensorflow_gpu"))


def python_of(environment: str) -> str:
    """The Python of an environment. Raises: UsageError where it is not built."""
    python = ROOT / ".venv" / environment / "bin" / "python"
    if not python.exists():
        raise UsageError(
            f".venv/{environment} is not built: make env-{environment}, or make check-gpu, which does that"
        )
    return str(python)


def run_tests(python: str, folder: str, minutes: float, into: Path) -> tuple[list[dict], list[dict]]:
    """(tests with their outcome, what they measured) of one environment."""
    report, measured = into / "report.xml", into / "measured.jsonl"
    for path in (report, measured):
        path.unlink(missing_ok=True)
    # -n0: the tests share the GPUs, and times are taken.
    flags = ["-q", "-n0", "-p", "no:cacheprovider", "-m", "gpu", f"--minutes={minutes:.2f}", f"--junitxml={report}"]
    environment = os.environ | {"GPU_MEASURED": str(measured)}
    subprocess.run([python, "-m", "pytest", *flags, folder], cwd=ROOT, env=environment)
    lines = measured.read_text(encoding="utf-8").splitlines() if measured.exists() else []
    return outcomes(report), [json.loads(line) for line in lines]


def outcomes(report: Path) -> list[dict]:
    """Name, outcome, seconds and reason of each test in a report of pytest's; where there is none, a failure."""
    if not report.exists():
        return [{"test": "pytest", "outcome": "failed", "seconds": 0.0, "why": "it ended without a report"}]
    found = []
    for case in ElementTree.parse(report).iter("testcase"):
        bad = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
        outcome = "passed" if bad is None else "skipped" if bad.tag == "skipped" else "failed"
        why = "" if bad is None else (bad.get("message") or "").strip().split("\n")[0][:200]
        found.append({"test": case.get("name"), "outcome": outcome, "seconds": float(case.get("time", 0)), "why": why})
    return found


def published_hours(rows: Sequence[dict]) -> list[dict]:
    """The rows with hours of a whole run here, and those of the cells, where a row names them."""
    import yaml

    done = []
    for row in rows:
        more: dict[str, Any] = {}
        if "published" in row and "seconds" in row:
            file, cost = row["published"]
            cells = yaml.safe_load((ROOT / "reproduce" / "cells" / f"{file}.yaml").read_text(encoding="utf-8"))
            more = {
                "hours_of_a_run": round(row["seconds"] * row["steps_of_a_run"] / 3600, 2),
                "published_hours": cells["costs"][cost]["gpu_hours"],
                "published_basis": cells["costs"][cost]["basis"],
            }
        done.append(row | more)
    return done


def table(rows: Sequence[dict]) -> str:
    """Markdown: what was measured, against the CPU and the published hours."""
    head = ["what", "seconds", "CPU: seconds", "times as fast", "waits", "GiB", "hours of a run", "published hours"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        seconds, cpu = row.get("seconds", row.get("whole_seconds")), row.get("cpu_seconds")
        hours, basis = row.get("published_hours"), row.get("published_basis", "")
        lines.append([
            row["what"],
            "" if seconds is None else f"{seconds:.4g}",
            "" if cpu is None else f"{cpu:.4g}",
            "" if cpu is None or seconds is None else f"{cpu / seconds:.1f}",
            f"{row['waits']:.1%}" if "waits" in row else "",
            f"{row['peak_bytes'] / 2**30:.1f}" if row.get("peak_bytes") else "",
            f"{row['hours_of_a_run']:.2f}" if "hours_of_a_run" in row else "",
            "" if hours is None else f"{hours} ({basis})",
        ])  # fmt: skip
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def check(minutes: float, out: Path | None) -> int:
    """Runs both parts, prints the table, keeps it."""
    gpus, frameworks = require_driver(), {}
    for environment, name, _ in PARTS:
        frameworks[name] = require_framework(name, python_of(environment))
        print("{0} {version}, CUDA {cuda}: {count} GPU(s)".format(name, **frameworks[name]))
    tests: list[dict] = []
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        for environment, _, part in PARTS:
            done, measured = run_tests(python_of(environment), part, minutes / len(PARTS), Path(folder))
            tests, rows = tests + done, rows + measured
    failed = [test for test in tests if test["outcome"] == "failed"]
    date = datetime.date.today().isoformat()
    report: dict[str, Any] = {
        "date": date,
        "command": "make check-gpu",
        "gpus": [line.split(" (UUID")[0] for line in gpus],
        "driver": driver_version(),
        "frameworks": frameworks,
        "tests": tests,
        "measured": published_hours(rows),
    }
    path = out or ROOT / "benchmarks" / "results" / f"gpu_{date}.json"
    atomic_write(path, json.dumps(report, indent=1) + "\n")
    print(table(report["measured"]), end="")
    counts = {word: sum(test["outcome"] == word for test in tests) for word in ("passed", "failed", "skipped")}
    print(", ".join(f"{count} {word}" for word, count in counts.items()) + f"; kept in {path}")
    for test in failed:
        print(f"failed: {test['test']}: {test['why']}", file=sys.stderr)
    return 1 if failed or not counts["passed"] else 0


def main(argv: list[str] | None = None) -> int:
    """See above."""
    parser = Parser(
        prog="python -m benchmarks.check_gpu", description="Whether the suite works on this machine's GPUs."
    )
    parser.add_argument("--look", action="store_true", help="only see whether there is a GPU and a driver")
    parser.add_argument("--minutes", type=float, default=9.0, help="start no test after that many [9]")
    parser.add_argument("--out", type=out_file, help="JSON file [benchmarks/results/gpu_<date>.json]")
    options = parser.parse_args(argv)
    if options.look:
        return guarded(lambda: print("\n".join(require_driver())), "interrupted")
    return guarded(lambda: check(options.minutes, options.out), "interrupted")


if __name__ == "__main__":
    sys.exit(main())
