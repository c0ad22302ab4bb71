"""Kills at random moments: each program and every process of it, by kill -9, SIGTERM and Ctrl-C; then it is resumed.

What is checked: it ends within two minutes, with an exit code and at most one sentence; nothing that it started is
left; no file is half written; and the run that was killed again and again is in the end, bit for bit, one that was not.
"""

from __future__ import annotations

import contextlib
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

from tests.torture.fork_server import ForkServer
from tests.torture.kill_programs import PROGRAMS, environment, left_by

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
GONE_SECONDS, END_SECONDS = 30.0, 120.0
PATIENCE = 5  # times what the reference took, where that is more: other programs may have the machine
FORKED = 0.9  # of all starts; see fork_server
OF_RAY = {
    "raylet": "raylet", "gcs_server": "Ray's head", "ray::DashboardAgent": "Ray agent",
    "ray::RuntimeEnvAgent": "Ray agent", "ray::": "Ray worker",
}  # fmt: skip


@dataclass
class Tally:
    """What happened so far."""

    counts: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    kills: int = 0


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
    """A program that is started, waited for, killed and looked at. server: that starts it; None: Python does."""

    def __init__(self, name: str, folder: Path, shared: Path, tally: Tally, server: ForkServer | None = None) -> None:
        self.name, self.folder, self.tally, self._server = name, folder, tally, server
        self.marker = f"{os.getpid()}-{time.monotonic_ns()}"
        self.errors = shared / f"{self.marker}.txt"
        self.errors.touch()
        self.started, self.code = time.time(), None  # type: float, int | None
        words, places = PROGRAMS[name].words(folder, shared), environment(self.marker, shared)
        if server:
            self.pid = server.start(words, str(self.errors), places)
            return
        with open(self.errors, "a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, env=places, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True,
            )  # fmt: skip
        self.pid = self._process.pid

    def wait(self, seconds: float) -> bool:
        """Whether it has ended."""
        if self.code is None and self._server:
            self.code = self._server.ended(seconds)
        elif self.code is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.code = self._process.wait(max(0.0, seconds))
        return self.code is not None

    def family(self) -> dict[int, str]:
        """What every process of its is, by process id: those of its session, and those that have its marker."""
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                state, _, _, session = (place / "stat").read_text().rpartition(")")[2].split()[:4]
                marked = f"KILLS_MARKER={self.marker}".encode() in (place / "environ").read_bytes()
                line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                name = (place / "comm").read_text().strip()
            except OSError:
                continue
            if state not in "ZX" and (marked or int(session) == self.pid):
                found[int(place.name)] = kind_of(line, name)
        return found

    def left(self) -> dict[int, str]:
        """Of its family those that count once it is gone: Ray's agents, which compute nothing, may take a minute."""
        return {process: kind for process, kind in self.family().items() if kind != "helper"}

    def begun(self) -> bool:
        """Whether a record of its has been written since it was started."""
        return any(path.stat().st_mtime > self.started for path in self.folder.rglob("result.json"))

    def said(self) -> str:
        """What it wrote to stderr."""
        return self.errors.read_text(encoding="utf-8", errors="replace")

    def kill(self, chance: random.Random) -> str:
        """Kill one of its processes. Returns what was done, in words."""
        number = chance.choice(SIGNALS)
        kinds = self.family()
        kinds.pop(self.pid, None)
        if kinds and number != signal.SIGINT and chance.random() < 0.6:
            kind = chance.choice(sorted(set(kinds.values())))
            chosen = chance.choice([process for process, its in kinds.items() if its == kind])
        else:
            kind, chosen = "the program itself", self.pid
        try:
            if number == signal.SIGINT:  # as a terminal does
                os.killpg(self.pid, number)
                kind = "the terminal"
            else:
                os.kill(chosen, number)
        except ProcessLookupError:
            return ""
        self.tally.counts[f"{number.name} to {kind}"] += 1
        self.tally.kills += 1
        return f"{number.name} to {kind}"

    def end(self, done: str, seconds: float) -> bool:
        """Let it end after what was done to it, and look at what is left. Returns whether it has finished its work."""
        if not self.wait(seconds):
            self.fail(done, f"has not ended {seconds:.0f} s after")
            for process in self.family():
                os.kill(process, signal.SIGKILL)
            self.wait(GONE_SECONDS)
        code, until = self.code, time.monotonic() + GONE_SECONDS
        while (left := self.left()) and time.monotonic() < until:
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


def reference(name: str, shared: Path, times: dict[str, tuple[float, float]], server: ForkServer | None) -> None:
    """The run that nothing interrupts; `times`: seconds until training began, and from there to the end."""
    needs = PROGRAMS[name].needs
    if needs and needs not in times:
        reference(needs, shared, times, server)
    folder = shared / name
    whole, began = Victim(name, folder, shared, Tally(), server), time.monotonic()
    first = began
    while not whole.wait(0.02):
        if first == began and whole.begun():
            first = time.monotonic()
    if whole.code:
        raise RuntimeError(f"{name} itself ends with {whole.code}: {whole.said()[-2000:]}")
    times[name] = first - began, time.monotonic() - first


def torment(
    name: str,
    chance: random.Random,
    kills: int,
    until: float,
    shared: Path,
    times: dict[str, tuple[float, float]],
    tally: Tally,
    server: ForkServer | None,
) -> None:
    """Kill one program and resume it, so often at most, until it is finished; compare it with the reference."""
    if name not in times:
        reference(name, shared, times, server)
    start, work = times[name]
    patience = max(END_SECONDS, PATIENCE * (start + work))
    folder, done, finished, left = shared / "killed" / name, "", False, kills
    shutil.rmtree(folder, ignore_errors=True)
    while not finished:
        # Now and then Python starts it, so that its own start is hit as well.
        victim, done = Victim(name, folder, shared, tally, server if chance.random() < FORKED else None), ""
        if left > 0 and time.monotonic() < until:
            left -= 1
            if PROGRAMS[name].begins and chance.random() < 0.75:  # most of the time is Python's start
                limit = time.monotonic() + 3 * start + 60
                while not victim.begun() and not victim.wait(0.02) and time.monotonic() < limit:
                    pass
                moment = chance.random() * 2 * work / max(4, PROGRAMS[name].kills)
            else:
                moment = chance.random() * (start + work)
            if not victim.wait(moment):
                done = victim.kill(chance)
        finished = victim.end(done, patience) or (not done and victim.code != 0)
        if not done and victim.code:
            victim.fail(done, f"ends with {victim.code}: …{victim.said()[-800:]}")
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
    known = {name: one for name, one in PROGRAMS.items() if one.environment == here}
    chosen = [name for name in known if name in (names or known)]
    place = seed  # which program comes first: where there is little time, other seeds come to the others
    times: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="kills_") as folder:
        server = ForkServer(here, environment("server", Path(folder)))
        try:
            while tally.kills < count and time.monotonic() < until:
                name, before, place = chosen[place % len(chosen)], tally.kills, place + 1
                most = min(PROGRAMS[name].kills, count - before)
                torment(name, chance, most, until, Path(folder), times, tally, server)
                tally.counts[f"of {name}"] += tally.kills - before
        finally:
            server.close()
    return {"counts": {"kills": tally.kills, **dict(sorted(tally.counts.items()))}, "failures": tally.failures}
