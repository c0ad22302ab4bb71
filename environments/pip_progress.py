"""How far an installation with pip is, for a reader who waits. The syntax of Python 3.6, see build.py."""

import re
import shutil
import sys
import time
from pathlib import Path

SECONDS_BETWEEN_LINES = 10.0  # of progress, where the output is a file or a log of CI; a terminal's line is renewed
SECONDS_ON_A_TERMINAL = 1.0
CLEAR_TO_END = "\x1b[K"
BYTES = {"bytes": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}  # as pip writes sizes


class Progress:
    """Says now and then what is being done: on a terminal in one line, elsewhere in a new line every ten seconds."""

    def __init__(self, name: str) -> None:
        self.name, self.started, self.on_terminal = name, time.monotonic(), sys.stdout.isatty()
        self.period = SECONDS_ON_A_TERMINAL if self.on_terminal else SECONDS_BETWEEN_LINES

    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.started

    def say(self, what: str) -> None:
        """Print the name, the seconds since the beginning and `what`."""
        line = f"{self.name}, {self.seconds():.0f} s: {what}"
        if self.on_terminal:
            line = "\r" + line[: shutil.get_terminal_size().columns - 1] + CLEAR_TO_END
        print(line, end="" if self.on_terminal else "\n", flush=True)

    def end(self) -> None:
        """Leave an empty line on a terminal for what is said next."""
        if self.on_terminal:
            print("\r" + CLEAR_TO_END, end="", flush=True)


def doing(output: str, packages: int, installed: int) -> str:
    """What pip is at, in words, out of its output so far."""
    if re.search(r"^Installing collected packages", output, re.MULTILINE):
        return f"installing, {max(0, min(installed, packages))} of {packages} packages"
    begun = list(re.finditer(r"^(?:Collecting|Processing|Requirement already satisfied:) (\S+)", output, re.MULTILINE))
    if not begun:
        return f"0 of {packages} packages fetched"
    last = begun[-1]
    sizes = re.findall(r"^ +(?:Downloading|Using cached) \S+ \(([\d.]+) (\w+)\)", output[: last.start()], re.MULTILINE)
    total = sum(float(number) * BYTES.get(unit, 0.0) for number, unit in sizes)
    amount = f"{total / 1e9:.1f} GB" if total >= 1e9 else f"{total / 1e6:.0f} MB"
    now = re.search(r"Downloading \S+ (\(.*\))", output[last.start() :])
    name = last.group(1).rpartition("/")[2] + (" " + now.group(1) if now else "")
    return f"{len(begun) - 1} of {packages} packages fetched, {amount}; now {name}"


def text_from(path: Path, start: int) -> str:
    """What a file holds from its byte `start` on."""
    with open(str(path), "rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")


def count_installed(folder: Path) -> int:
    """Packages in an environment."""
    return sum(1 for _ in folder.glob("lib/python*/site-packages/*.dist-info/RECORD"))
