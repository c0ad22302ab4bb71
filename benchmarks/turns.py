"""Processes that take turns step by step, so that whatever else the machine does hits them alike."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from common.children import tied

ROOT = Path(__file__).resolve().parent.parent
Name = TypeVar("Name", bound=Hashable)


def answer(steps: Iterator[None]) -> None:
    """Takes a step for every line on stdin; prints its seconds, page faults and the process's peak memory as JSON."""
    for _ in sys.stdin:
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        next(steps)
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        measured = {
            "seconds": seconds,
            "kernel_seconds": after.ru_stime - before.ru_stime,
            "page_faults": after.ru_minflt - before.ru_minflt,
            "peak_memory_bytes": after.ru_maxrss * 1024,
        }
        print(json.dumps(measured), flush=True)


def in_turns(
    commands: Mapping[Name, list[str]],
    steps: int,
    warmup: int,
    environments: Mapping[Name, Mapping[str, str]] | None = None,
) -> dict[Name, list[dict]]:
    """{name: answers of its `steps` steps after `warmup`}; each command is a process that calls `answer`.

    environments: all variables of each process, None: those of this one.
    """
    workers = {
        name: subprocess.Popen(
            tied(command), cwd=ROOT, env=environments[name] if environments else None,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name, command in commands.items()
    }  # fmt: skip
    answers: dict[Name, list[dict]] = {name: [] for name in commands}
    try:
        for turn in range(-warmup, steps):
            for name, process in workers.items():
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                if not (line := process.stdout.readline()):
                    raise RuntimeError(f"the process of {name!r} ended with {process.wait()}; its message is above")
                if turn >= 0:
                    answers[name].append(json.loads(line))
            print(f"\rturn {turn + 1} of {steps}", end="", file=sys.stderr, flush=True)
    finally:
        for process in workers.values():
            process.kill()
            process.wait()
    print(file=sys.stderr)
    return answers
