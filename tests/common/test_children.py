"""Programs and workers end with the process that started them, and take their own children along."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common import children

ROOT = Path(__file__).resolve().parents[2]
SLEEPER = [sys.executable, "-S", "-c", "import time; print('here', flush=True); time.sleep(60)"]
# A child of its own in another way of starting each; says both process ids.
WITH_CHILD = {
    "tied": "process = subprocess.Popen(tied({sleeper}), stdout=subprocess.PIPE); process.stdout.readline()",
    "thread": (
        "import threading, queue; there = queue.Queue();"
        "serve = lambda: (there.put(subprocess.Popen(tied({sleeper}), stdout=subprocess.PIPE)), time.sleep(60));"
        "threading.Thread(target=serve).start(); process = there.get(); process.stdout.readline()"
    ),
    "fork": (
        "ready = multiprocessing.get_context('fork').Event();"
        "run = lambda: (end_with_parent(), ready.set(), time.sleep(60));"
        "process = multiprocessing.get_context('fork').Process(target=run); process.start(); ready.wait()"
    ),
}


def alive(process: int) -> bool:
    """Whether it runs; one that has ended and whose end nobody has read yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("way", WITH_CHILD)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent(way: str, number: int) -> None:
    program = (
        "import multiprocessing, os, subprocess, time; from common.children import end_with_parent, tied;"
        f"{WITH_CHILD[way].format(sleeper=SLEEPER)}; print(process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.send_signal(number)
    assert wait_for(lambda: not alive(child))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, None])
def test_what_others_started_is_taken_along(number: int | None) -> None:
    program = (
        "import sys, time; from common.children import taken_along\n"
        "with taken_along([int(sys.argv[1]), 2**22 - 1]): print('in', flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(SLEEPER, stdout=pipe) as other:
        words = [sys.executable, "-c", program, str(other.pid)]
        with subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe) as one:
            assert one.stdout is not None and one.stdin is not None and one.stdout.readline() == b"in\n"
            assert other.poll() is None
            one.send_signal(number) if number else one.stdin.close()
        assert other.wait(30) == -signal.SIGKILL


def test_a_child_whose_parent_is_gone_before_it_looks_ends_at_once() -> None:
    words = children.tied(["true"])
    words[words.index(str(os.getpid()))] = "1" if os.getpid() != 1 else "2"
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL


def test_the_program_is_told_as_it_is_and_a_missing_one_in_a_sentence() -> None:
    words = children.tied([sys.executable, "-c", "import sys; sys.exit(int(sys.argv[1]))", "7"])
    assert subprocess.run(words, check=False).returncode == 7
    gone = subprocess.run(children.tied(["no-such-program"]), capture_output=True, text=True, check=False)
    assert (gone.returncode, gone.stderr) == (
        127,
        "error: no-such-program cannot be started: No such file or directory\n",
    )


def test_a_program_that_a_parent_without_ctrl_c_starts_has_it() -> None:
    program = "import signal, sys; sys.exit(signal.getsignal(signal.SIGINT) is not signal.default_int_handler)"
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert subprocess.run(children.tied([sys.executable, "-c", program]), check=False).returncode == 0
    finally:
        signal.signal(signal.SIGINT, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


FAMILY = """
import signal, subprocess, sys, time
def told(*_):
    print("told", flush=True)
    if sys.argv[1] == "polite":
        sys.exit(130)
signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child inherits that
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
signal.signal(signal.SIGINT, told)
print(child.pid, flush=True)
if sys.argv[1] == "short":
    sys.exit(3)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("kind", "asks", "code", "said"), [("short", 0, 3, 0), ("polite", 1, 130, 1), ("stubborn", 2, -9, 1)]
)
def test_of_a_program_and_its_children_nothing_is_left(
    kind: str, asks: int, code: int, said: int, tmp_path: Path
) -> None:
    log, times = tmp_path / "log", [0]

    def ask() -> None:
        wait_for(lambda: log.read_text().count("\n") > 0)
        for number in range(asks):
            times[0] = number + 1
            wait_for(lambda: "told" in log.read_text())

    with open(log, "wb") as file:
        thread = threading.Thread(target=ask)
        thread.start()
        command = [sys.executable, "-S", "-c", FAMILY, kind]
        assert children.run(command, file, tmp_path, os.environ, lambda: times[0]) == code
        thread.join()
    first, *others = log.read_text().splitlines()
    assert others == ["told"] * said
    assert wait_for(lambda: not alive(int(first)))
