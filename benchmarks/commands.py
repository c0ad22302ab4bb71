"""Wall and CPU time of whole commands: how long a user waits.

python -m benchmarks.commands --out benchmarks/results/commands.json
python -m benchmarks.commands --demo --out benchmarks/results/commands_demo.json

Programs of the other environment are started with its Python where it is built, and left out where it is not.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import described, keep, out_file
from common.flags import Parser

ROOT = Path(__file__).resolve().parent.parent
STEP = (
    "-m ieg.main --method=ieg --dataset=digits_uniform_0.8 --image_size=8 --network_name=wrn10-1 --batch_size=50"
    " --probe_dataset_hold_ratio=0.014 --aug_type=default --max_iteration=1"
)
MOCO = "-m moco_nonsem.moco-non-sem-neg"
SLN = "-m re_sln.train_cifar --dataset_name=digits --image_size=8 --network=wrn-10-1"
COMMANDS = {  # name: environment, arguments of its Python
    "import tensorflow": ("tensorflow", ["-c", "import tensorflow"]),
    "import torch": ("pytorch", ["-c", "import torch"]),
    "ieg.main --help": ("tensorflow", ["-m", "ieg.main", "--help"]),
    "ieg.main --check": ("tensorflow", [*STEP.split(), "--check"]),
    "ieg.main, one IEG step and its evaluation": ("tensorflow", STEP.split()),
    "re_sln.train_cifar --help": ("pytorch", ["-m", "re_sln.train_cifar", "--help"]),
    "re_sln.train_cifar --check": ("pytorch", [*SLN.split(), "--check"]),
    "moco-non-sem-neg --help": ("pytorch", [*MOCO.split(), "--help"]),
}
DEMO = ("tensorflow", ["-m", "reproduce", "demo"])
DEMO_SETTINGS: list[dict[str, str]] = [{}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}, {"TF_ENABLE_ONEDNN_OPTS": "0"}]


def timed(python: Path, arguments: list[str], setting: dict[str, str]) -> tuple[float, float, str]:
    """Wall and CPU seconds of a command with its children, and what it printed. Raises: RuntimeError."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | setting | {"RUNS_DIR": folder}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run([str(python), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def measured(name: str, environment: str, arguments: list[str], turns: int, setting: dict[str, str]) -> dict | None:
    """Medians over the turns, after one that is not counted; None where the environment is not built."""
    python = ROOT / ".venv" / environment / "bin" / "python"
    if not python.exists():
        print(f"{name}: left out, .venv/{environment} is not built", file=sys.stderr)
        return None
    *times, printed = zip(*[timed(python, arguments, setting) for _ in range(turns + (turns > 1))], strict=True)
    wall, cpu = (round(statistics.median(column[turns > 1 :]), 2) for column in times)
    table = [line for line in printed[-1].splitlines() if line.startswith("|")]  # of a demo: its result
    row = {"name": name, "setting": setting, "turns": turns, "wall_seconds": wall, "cpu_seconds": cpu}
    return row | ({"table": table} if table else {})


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0."""
    parser = Parser(prog="python -m benchmarks.commands", description="Time of whole commands.")
    parser.add_argument("--turns", type=int, default=3, help="timed runs of each command [3]; the demo runs once")
    parser.add_argument("--demo", action="store_true", help="`make demo` under three settings of oneDNN instead")
    parser.add_argument("--out", type=out_file, help="JSON file to write")
    options = parser.parse_args(argv)
    if options.turns < 1:
        parser.error(f"--turns={options.turns}: must be at least 1")
    if options.demo:
        found = [measured("make demo", *DEMO, 1, setting) for setting in DEMO_SETTINGS]
    else:
        found = [measured(name, *command, options.turns, {}) for name, command in COMMANDS.items()]
    rows = [row for row in found if row]
    for row in rows:
        print(json.dumps(row))
    keep(described("benchmarks.commands", argv) | {"commands": rows}, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
