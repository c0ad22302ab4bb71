"""Does what fits into the time, piece by piece; what was interrupted is resumed by the next piece."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.records.record_files import METRICS, RESULT, read_metrics, read_result
from common.storage.files import atomic_write
from reproduce.gpu import plan
from reproduce.gpu.plan import Item
from reproduce.gpu.programs import STOPPED, end_of, run_program

STATE, LOG, RUN = "session.json", "log.txt", "run"
NO_GPU = "none, "  # begins what a session on a CPU says of its GPU
SPEED, KERNELS = "speed.json", "kernels.json"
MISTAKE = 2  # exit code of a command that no setting makes right
LEAST = 40.0  # seconds: less is not worth a start
RESERVE = 30.0  # seconds at the end of a piece, in which a run saves its state and the results are written
VARIANTS = {  # of benchmarks.sln, and the setting that each measures
    "bf16, channels last": "as it is",
    "bf16, channels last, captured": "captured",
    "bf16, compiled, captured": "compiled, captured",
    "float32, channels last": "as it is",
    "float32, channels last, captured": "captured",
    "float32, compiled, captured": "compiled, captured",
}


ON_A_CPU = {  # where the command is tried out: the same measurements, small
    "speed": ["--network=wrn-10-1", "--batch_size=32", "--steps=3", "--warmup=1"],
    "kernels": ["--arch=resnet10-small", "--size=32", "--batch_size=8", "--turns=3", "--warmup=1"],
}


@dataclass(frozen=True)
class Options:
    """What was asked for. minutes: of all pieces together; run_flags: further flags of every run."""

    minutes: float = 30.0
    epochs: int = 300
    device: str = "cuda"
    precision: str = "bfloat16"
    run_flags: tuple[str, ...] = ()


class Session:
    """The work in one folder, over all its pieces.

    run: starts a command with a log for so many seconds and returns its exit code, STOPPED where they were over.
    """

    def __init__(
        self,
        work: Path,
        data: Path,
        options: Options,
        run: Callable[[Sequence[str], Path, float], int] = run_program,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = print,
    ) -> None:
        self.work, self.data, self.options = work, data, options
        self.run, self.clock, self.say = run, clock, say
        self.state: dict[str, Any] = {"pieces": [], "used": 0.0, "epoch_seconds": None, "failed": {}, "struck": {}}
        if (work / STATE).is_file():
            self.state |= json.loads((work / STATE).read_text(encoding="utf-8"))

    # ------------------------------------------------------------------ what there is

    def folder(self, item: Item) -> Path:
        """Where a run lies."""
        return self.work / "runs" / item.name / RUN

    def epochs_done(self, item: Item) -> int:
        """Of a run, as its record has them."""
        path = self.folder(item)
        return len(read_metrics(path)) if (path / METRICS).is_file() else 0

    def done(self, item: Item) -> bool:
        """Whether nothing is left to do for it."""
        if item.kind == "run":
            path = self.folder(item)
            return (path / RESULT).is_file() and read_result(path)["finished"]
        return (self.work / {"speed": SPEED, "kernels": KERNELS}[item.kind]).is_file()

    def step_seconds(self) -> dict[str, float]:
        """{setting: seconds of a step} of those that were measured in this session's precision."""
        path = self.work / SPEED
        rows = json.loads(path.read_text(encoding="utf-8"))["steps"] if path.is_file() else []
        word = {"bfloat16": "bf16", "float32": "float32"}[self.options.precision]
        return {VARIANTS[row["variant"]]: row["median_seconds"] for row in rows if row["variant"].startswith(word)}

    def setting(self) -> str:
        """How steps are carried out: the fastest way that has not failed."""
        return plan.fastest(self.step_seconds(), self.options.epochs, self.state["struck"])

    def seconds_of(self, item: Item) -> float:
        """What it will still take."""
        if item.kind != "run":
            return {"speed": plan.SPEED_SECONDS, "kernels": plan.KERNEL_SECONDS}[item.kind]
        setting = self.setting()
        step = self.step_seconds().get(setting)
        epoch = self.state["epoch_seconds"] or (plan.STEPS * step if step else plan.GUESS)
        return plan.START + plan.SETTINGS[setting][1] + epoch * (self.options.epochs - self.epochs_done(item))

    def to_do(self) -> list[tuple[Item, float]]:
        """What fits into the rest of the minutes, with its seconds."""
        items = [item for item in plan.everything() if not self.done(item) and item.name not in self.state["failed"]]
        return plan.fitting(items, self.seconds_of, 60 * self.options.minutes - self.state["used"] - RESERVE)

    # ------------------------------------------------------------------ doing it

    def piece(self, seconds: float) -> int:
        """Works for at most so long, and not beyond the minutes. Returns how many items it began."""
        begun, used, begins = self.clock(), self.state["used"], 0
        end = begun + min(seconds, 60 * self.options.minutes - used)
        try:
            while to_do := self.to_do():
                left = end - self.clock() - RESERVE
                # A measurement cannot be resumed: it is begun only where it can be ended.
                ready = [item for item, needed in to_do if item.kind == "run" or needed <= left]
                if left < LEAST or not ready:
                    break
                begins += 1
                if self.do(ready[0], left):
                    break
                self.state["used"] = used + self.clock() - begun
                self.write()
        finally:  # a Ctrl-C, too, has used the GPU
            self.state["used"] = used + self.clock() - begun
            self.write()
        return begins

    def do(self, item: Item, allowed: float) -> bool:
        """One item; whether it was stopped because its time was over."""
        setting, before, begun = self.setting(), self.epochs_done(item) if item.kind == "run" else 0, self.clock()
        log = self.work / "runs" / item.name / LOG if item.kind == "run" else self.work / f"{item.kind}.log"
        self.say(
            f"{item.name}: {setting if item.kind == 'run' else 'being measured'}, {allowed / 60:.1f} minutes are left"
        )
        log.parent.mkdir(parents=True, exist_ok=True)
        code = self.run(self.command(item, setting), log, allowed)
        if item.kind == "run" and (gained := self.epochs_done(item) - before) >= 3:
            self.state["epoch_seconds"] = (self.clock() - begun) / gained
        if code in (0, STOPPED):
            return code == STOPPED
        self.failed(item, "as it is" if code == MISTAKE else setting, f"exit code {code}: {end_of(log)}")
        return False

    def failed(self, item: Item, setting: str, why: str) -> None:
        """A run is tried under another setting, until none is left."""
        self.say(f"{item.name} failed ({setting}): {why}")
        if item.kind != "run" or setting == "as it is":
            self.state["failed"][item.name] = why
            return
        self.state["struck"][setting] = why
        self.state["epoch_seconds"] = None
        if "--compile" in plan.SETTINGS[setting][0] and self.folder(item).exists():  # it is part of a run's identity
            self.folder(item).rename(self.folder(item).with_name(f"{RUN}-failed"))

    def command(self, item: Item, setting: str) -> list[str]:
        """What is started."""
        device = f"--device={self.options.device}"
        small = ON_A_CPU.get(item.kind, []) if self.options.device == "cpu" else []
        if item.kind == "speed":
            more = [f"--variants={';'.join(VARIANTS)}", "--steps=30", "--warmup=10", f"--out={self.work / SPEED}"]
            return [sys.executable, "-m", "benchmarks.sln", device, *more, *small]
        if item.kind == "kernels":
            return [sys.executable, "-m", "benchmarks.moco_kernels", device, f"--out={self.work / KERNELS}", *small]
        return [
            sys.executable, "-m", "re_sln.train_cifar", *plan.flags_of(item, self.options.epochs),
            f"--data_dir={self.data}", "--allow_unverified", device, f"--precision={self.options.precision}",
            "--channels_last", "--save_minutes=3", *plan.SETTINGS[setting][0], f"--run_dir={self.folder(item)}",
            *self.options.run_flags,
        ]  # fmt: skip

    def write(self) -> None:
        """Keeps the time that was used, and what failed."""
        self.work.mkdir(parents=True, exist_ok=True)
        atomic_write(self.work / STATE, json.dumps(self.state, indent=1) + "\n")
