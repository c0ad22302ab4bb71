"""What is done and what is not, as a to-do list, and what the rest would cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from common.machine import cores
from reproduce.cells import Table
from reproduce.downloads import to_fetch
from reproduce.runs import DONE, FOREIGN, RUNNING, Run, progress

WAY_OUT = "move that folder elsewhere to run this cell"
MEASURED_CORES = 2  # the step times in the cells files were taken on two


def plan_text(table: Table, runs: list[Run]) -> str:
    """One line a run, then the totals."""
    lines = [f"{table.name}: {table.title}"]
    for run in runs:
        cost = f"{run.cell.cost.gpu_hours:7.1f} GPU-hours ({run.cell.cost.basis})" if run.cell.gpus else ""
        step = progress(run) if run.state not in (DONE, FOREIGN) else 0
        at = f", step {step} of {run.cell.steps}" if step else ""
        lines.append(f"  {run.state:<11} {run.name:<44} {cost}{at}".rstrip())
        if run.why:
            lines.append(f"              {run.why}; {WAY_OUT}")
    states = Counter(run.state for run in runs)
    lines.append(
        "  " + ", ".join(f"{count} {state}" for state, count in states.items()) + f"; to do: {gpu_cost(to_do(runs))}"
    )
    return "\n".join(lines)


def totals(runs: list[Run], data_dir: Path) -> str:
    """What all of them together still need: GPU-hours, disk, downloads. A run that several tables share counts once."""
    left = to_do(runs)
    states = Counter(run.state for run in runs)
    gigabytes = sum(run.cell.cost.disk_gb for run in left)
    needed = dict.fromkeys(name for run in left for name in run.cell.data)
    return "\n".join(
        [
            f"All {len(runs)} runs: {', '.join(f'{count} {state}' for state, count in states.items())}",
            f"  GPU time    {gpu_cost(left)}",
            f"  disk        {gigabytes:,.0f} GB of run folders (from the sizes of checkpoints)",
            f"  downloads   {to_fetch(needed, data_dir)}",
        ]
    )


def to_do(runs: Iterable[Run]) -> list[Run]:
    """The runs that have to be started: missing and interrupted ones."""
    return [run for run in runs if run.state not in (DONE, RUNNING, FOREIGN)]


def gpu_cost(runs: list[Run]) -> str:
    """GPU-hours of these runs, and how far they are measured."""
    hours: defaultdict[str, float] = defaultdict(float)
    for run in runs:
        hours[run.cell.cost.basis] += run.cell.cost.gpu_hours * (1 - min(1.0, progress(run) / run.cell.steps))
    parts = " + ".join(f"{value:,.0f} GPU-hours ({basis})" for basis, value in hours.items() if value)
    return parts or "nothing" if not runs else parts or "minutes"


def cpu_cost(runs: list[Run]) -> str:
    """Days that these runs would take without a GPU."""
    days: defaultdict[str, float] = defaultdict(float)
    for run in runs:
        left = run.cell.steps - min(run.cell.steps, progress(run))
        days[run.cell.cost.cpu_basis] += left * run.cell.cost.cpu_step_seconds / 86400
    parts = " + ".join(f"{value:,.0f} days (step time {basis})" for basis, value in days.items())
    here = "" if cores() == MEASURED_CORES else f"; this machine has {cores()}"
    return f"{parts}, taken for {MEASURED_CORES} cores{here}"
