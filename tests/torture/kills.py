"""Kills at random moments: each program and every process of it, by kill -9, SIGTERM and Ctrl-C; then it is resumed.

What is checked: it ends within a minute, with an exit code and at most one sentence; nothing that it started is left;
no file is half written; and the run that was killed again and again is in the end, bit for bit, one that was not.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.kill_programs import PROGRAMS, environment, left_by

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
GONE_SECONDS, END_SECONDS = 10.0, 120.0
KILLS_A_RUN = 8  # then it is let finish, and compared
OF_RAY = {"raylet": "raylet", "gcs_server": "Ray's head", "ray::": "Ray worker"}


@dataclass
class Tally:
    """What happened so far."""

    counts: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def family(marker: str) -> dict[int, str]:
    """What every process with the marker in its environment is, by process id; those that have ended are left out."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"KILLS_MARKER={marker}".encode() not in (place / "environ").read_bytes():
                continue
            line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if (place / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                continue
            name = (place / "comm").read_text().strip()
        except OSError:
            continue
        found[int(place.name)] = kind_of(line, name)
    return found


def kind_of(line: str, name: str) -> str:
    """In a word, by command line and name."""
    for part, kind in OF_RAY.items():
        if part in line:
            return kind
    if "resource_tracker" in line or "/ray/" in line:
        return "helper"
    if name == "pt_data_worker":
        return "reader"
    return "rank" if "spawn_main" in line else "program"


class Victim:
    """A program that is started, waited for, killed and looked at."""

    def __init__(self, name: str, folder: Path, shared: Path, tally: Tally) -> None:
        self.name, self.folder, self.tally = name, folder, tally
        self.marker = f"{os.getpid()}-{time.monotonic_ns()}"
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 open as long as the program
        self.started = time.time()
        self.process = subprocess.Popen(
            [sys.executable, *PROGRAMS[name].words(folder, shared)],
            cwd=ROOT, env=environment(self.marker, shared), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=self.errors, start_new_session=True,
        )  # fmt: skip

    def wait(self, seconds: float) -> bool:
        """Whether it has ended."""
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def begun(self) -> bool:
        """Whether a record of its has been written since it was started."""
        return any(path.stat().st_mtime > self.started for path in self.folder.rglob("result.json"))

    def said(self) -> str:
        """What it wrote to stderr."""
        self.errors.seek(0)
        return self.errors.read()

    def kill(self, chance: random.Random) -> str:
        """Kill one of its processes. Returns what was done, in words."""
        number = chance.choice(SIGNALS)
        kinds = family(self.marker)
        kinds.pop(self.process.pid, None)
        if kinds and number != signal.SIGINT and chance.random() < 0.6:
            kind = chance.choice(sorted(set(kinds.values())))
            chosen = chance.choice([process for process, its in kinds.items() if its == kind])
        else:
            kind, chosen = "the program itself", self.process.pid
        try:
            if number == signal.SIGINT:  # as a terminal does
                os.killpg(self.process.pid, number)
                kind = "the terminal"
            else:
                os.kill(chosen, number)
        except ProcessLookupError:
            return ""
        self.tally.counts[f"{number.name} {kind}"] += 1
        return f"{number.name} to {kind}"

    def end(self, done: str) -> bool:
        """Let it end after what was done to it, and look at what is left. Returns whether it has finished its work."""
        if not self.wait(END_SECONDS):
            self.fail(done, f"has not ended {END_SECONDS:.0f} s after")
            for process in family(self.marker):
                os.kill(process, signal.SIGKILL)
            self.process.wait()
        code, until = self.process.returncode, time.monotonic() + GONE_SECONDS
        while (left := family(self.marker)) and time.monotonic() < until:
            time.sleep(0.05)
        if left:
            self.fail(done, f"leaves {', '.join(sorted(left.values()))}")
            for process in left:
                os.kill(process, signal.SIGKILL)
        said = self.said()
        if "Traceback" in said and not started_only(said):
            self.fail(done, f"ends with {code} and a traceback: …{said[-1500:]}")
        if code == 1 and not any(line.startswith("error: ") or "FAILED" in line for line in said.splitlines()):
            self.fail(done, f"ends with 1 without a sentence: …{said[-300:]}")
        if code not in (0, 1, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
            self.fail(done, f"ends with {code}: …{said[-600:]}")
        for problem in half_written(self.folder):
            self.fail(done, problem)
        self.tally.counts[f"ended with {code}"] += 1
        return code == 0

    def fail(self, done: str, what: str) -> None:
        """Note a failure."""
        self.tally.failures.append(f"{self.name}, after {done or 'nothing'}: {what}")


def started_only(said: str) -> bool:
    """Whether a traceback is Python's own over Ctrl-C while it was starting, before any of our code could answer it."""
    return said.strip().endswith("KeyboardInterrupt") and "common/program.py" not in said


def half_written(folder: Path) -> Iterator[str]:
    """What of the files below a folder cannot be read."""
    for path in [*folder.rglob("result.json"), *folder.rglob("metrics.jsonl")]:
        text = path.read_text(encoding="utf-8")
        try:
            for part in [text] if path.suffix == ".json" else text.splitlines():
                json.loads(part)
        except ValueError as error:
            yield f"{path.name} is half written: {error}: {text[-80:]!r}"


def reference(name: str, shared: Path, times: dict[str, tuple[float, float]]) -> Path:
    """The run that nothing interrupts; `times`: seconds until training began, and from there to the end."""
    needs = PROGRAMS[name].needs
    if needs and needs not in times:
        reference(needs, shared, times)
    folder = shared / name
    whole, began = Victim(name, folder, shared, Tally()), time.monotonic()
    first = began
    while not whole.wait(0.02):
        if first == began and whole.begun():
            first = time.monotonic()
    if whole.process.returncode:
        raise RuntimeError(f"{name} itself ends with {whole.process.returncode}: {whole.said()[-2000:]}")
    times[name] = first - began, time.monotonic() - first
    return folder


def torment(
    name: str, chance: random.Random, kills: int, until: float, shared: Path, times: dict, tally: Tally
) -> None:
    """Kill one program and resume it, so often at most, until it is finished; compare it with the reference."""
    if name not in times:
        reference(name, shared, times)
    start, work = times[name]
    folder, done, finished, left = shared / "killed" / name, "", False, kills
    shutil.rmtree(folder, ignore_errors=True)
    while not finished:
        victim, done = Victim(name, folder, shared, tally), ""
        if left > 0 and time.monotonic() < until:
            left -= 1
            if PROGRAMS[name].begins and chance.random() < 0.75:  # most of the time is Python's start
                limit = time.monotonic() + 3 * start + 60
                while not victim.begun() and not victim.wait(0.02) and time.monotonic() < limit:
                    pass
                moment = chance.random() * work / 3
            else:
                moment = chance.random() * (start + work)
            if not victim.wait(moment):
                done = victim.kill(chance)
        finished = victim.end(done) or (not done and victim.process.returncode != 0)
        if not done and victim.process.returncode:
            victim.fail(done, f"ends with {victim.process.returncode}: …{victim.said()[-800:]}")
            return
    whole, found = left_by(shared / name), left_by(folder)
    different = [key for key in sorted({*whole, *found}) if whole.get(key) != found.get(key)]
    tally.counts["finished runs compared"] += 1
    if different:
        tally.failures.append(f"{name}: the run that was killed {kills - left} times differs in {', '.join(different)}")
    if temporary := [path.name for path in folder.rglob(".*.tmp")]:
        tally.failures.append(f"{name}: the finished run has left-over files {', '.join(temporary)}")


def campaign(seed: int, count: int, seconds: float, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """`count` kills at most over the programs of this environment (or `names`), for `seconds` at most."""
    chance, tally, until = random.Random(seed), Tally(), time.monotonic() + seconds
    here = Path(sys.prefix).name
    chosen = [name for name, one in PROGRAMS.items() if name in names or (not names and one.environment == here)]
    kinds = [f"{number.name} " for number in set(SIGNALS)]
    times: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="kills_") as folder:
        while (done := sum(number for what, number in tally.counts.items() if what.startswith(tuple(kinds)))) < count:
            if time.monotonic() > until or not chosen:
                break
            name = chosen[tally.counts["finished runs compared"] % len(chosen)]
            before = len(tally.failures)
            torment(name, chance, min(KILLS_A_RUN, count - done), until, Path(folder), times, tally)
            tally.counts[f"kills of {name}"] += (
                sum(number for what, number in tally.counts.items() if what.startswith(tuple(kinds))) - done
            )
            if len(tally.failures) > before and not tally.counts["finished runs compared"]:
                break
    return {"counts": {"kills": done, **dict(sorted(tally.counts.items()))}, "failures": tally.failures}
