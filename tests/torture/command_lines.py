"""Fuzzed command lines: every program, called in this process, refuses in one sentence or would begin its work."""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import shlex
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from common.foreign_text import LONGEST
from common.records.config_text import format_config
from tests.torture.programs import PROGRAMS, Begun, Program

SECONDS_A_LINE = 60.0  # a machine with nothing else to do needs milliseconds
HUGE = "1" + "0" * 400
VALUES = (
    "", " ", "0", "-0", "1", "-1", "2", "3", "7", "64", "0.5", "1e-9", "-1e9", "1e400", "-1e400", "nan", "-nan", "inf",
    "-inf", HUGE, "-" + HUGE, "9" * 5000, "2147483648", "4294967296", "9223372036854775808",
    "1_000", "0x10", "1,2",
    "2,1", ",", "1,,2", "0.1;0.2", "²", "٣", "½", "é", "\u202eabc", "\u200b", "\udcff", "a\nb", "a\tb", "\x1b[31m",
    "%s", "%", "{}", "$HOME", "~", "~nobody/x", "true", "false", "none", "auto", "all", "cpu", "cuda",
    "x" * 300, "x" * 5000, "a/" * 2500, "file", "file/x", "folder", "missing", "missing/x", "run", "tree",
    "tree/train", "locked", "locked/x",
    ".", "..", "/dev/null", "-", "--", "=", "--seed", "-j", "cifar10", "digits", "digits_uniform_0.8",
    "digits_uniform_", "digits_uniform_nan", "cifar10_imbal_0", "cifar10_imbal_1e999", "webvisionmini_0",
    "webvisionmini_" + HUGE,
    "wrn-0-0", "wrn-10-100000000", "wrn--10-1", "resnet50", "all_0_0_0", "all_1_0.1_2_3", "partial_nan_nan_nan",
    "a\0b", "tcp://[::1", "=1", "'", '"', "\\",
)  # fmt: skip
NEVER = re.compile(r"Traceback \(most recent|\bobject at 0x|^\w+Error: ", re.MULTILINE)


class TooSlow(BaseException):
    """A command line took too long."""


def flags_of(program: Program) -> dict[str, list[str]]:
    """Names of flags, for each verb the line may begin with ("" for none), as the program's help gives them."""
    main, verbs = program.main(), {""}
    verbs |= {
        line.split()[0]
        for line in program.lines
        if re.match(r"[a-z]", line) and "reproduce data".find(program.module) >= 0
    }
    found = {}
    for verb in verbs:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            main([*([verb] if verb else []), "--help"])
        found[verb] = sorted(set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", out.getvalue())))
    return found


def changed(words: list[str], flags: list[str], rng: random.Random) -> list[str]:
    """The line with one to four changes."""
    words = list(words)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        place = rng.randrange(len(words) + 1)
        word = words[place] if place < len(words) else ""
        name = rng.choice(flags) if flags else "--seed"
        match rng.randrange(12):
            case 0 | 1 | 2 if "=" in word:
                words[place] = word.partition("=")[0] + "=" + rng.choice(VALUES)
            case 0 | 1 | 2 if word:
                words[place] = rng.choice(VALUES)
            case 3 | 4:
                words.insert(place, f"{name}={rng.choice(VALUES)}")
            case 5:
                words[place:place] = [name, rng.choice(VALUES)]
            case 6:
                words.insert(place, name)
            case 7 if word:
                del words[place]
            case 8 if word:
                words.insert(rng.randrange(len(words) + 1), word)
            case 9:
                words.insert(place, name[: rng.randrange(1, len(name) + 1)])
            case 10 if word:
                letters, at = list(word), rng.randrange(len(word))
                letters[at : at + rng.randrange(2)] = rng.choice(["", "-", "_", "=", "é", "\u0000", "9", " ", "\udc80"])
                words[place] = "".join(letters)
            case 11:
                words.insert(place, rng.choice(VALUES))
    return words


@contextlib.contextmanager
def sandbox() -> Iterator[Path]:
    """A folder with what values name, which is the current one; programs know no other, and no network."""
    with (
        tempfile.TemporaryDirectory() as root,
        mock.patch.dict(os.environ),
        mock.patch.object(socket.socket, "connect", refuse),
    ):
        place, before = Path(root), Path.cwd()
        for name in ("folder", "run", "locked", "data", "runs", "home", "tree/train/n01", "tree/val/n01"):
            (place / name).mkdir(parents=True)
        (place / "file").write_text("text\n")
        (place / "run" / "config.yml").write_text(format_config({"seed": 1, "program": "train_cifar"}))
        from PIL import Image

        for name in ("train/n01/a.JPEG", "train/n01/b.JPEG", "val/n01/c.JPEG"):
            Image.new("RGB", (16, 16), "teal").save(place / "tree" / name)
        (place / "locked").chmod(0)
        os.environ.update(HOME=str(place / "home"), DATA_DIR=str(place / "data"), RUNS_DIR=str(place / "runs"))
        os.chdir(place)
        try:
            yield place
        finally:
            os.chdir(before)
            (place / "locked").chmod(0o700)


def refuse(*_: object) -> None:
    """No program reaches the network."""
    raise ConnectionRefusedError(111, "Connection refused")


def begins(name: str) -> Callable:
    """In the place of a function with which work begins."""

    def begun(*_: object, **__: object) -> None:
        raise Begun(name)

    return begun


def too_slow(*_: object) -> None:
    """In the place of SIGALRM's handler."""
    raise TooSlow


def said_by(main: Callable, words: list[str]) -> tuple[str, str]:
    """How a command line ended (an exit code, "begun", "slow", or "raised") and what it said on standard error."""
    printed, err = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(printed, "utf-8", write_through=True)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        signal.setitimer(signal.ITIMER_REAL, SECONDS_A_LINE)
        try:
            code: object = main(words) or 0
        except SystemExit as stop:
            code = stop.code or 0
        except Begun as stop:  # more than one process is needed to check as well
            return "begun", "" if "start_all" in str(stop) else str(stop)
        except TooSlow:
            return "slow", traceback.format_exc(limit=-6)
        except BaseException:
            return "raised", traceback.format_exc(limit=-6)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    if code == 1 and not err.getvalue():  # what `data verify` finds is its result
        return "1", f"error: {printed.getvalue().decode(errors='replace')}"
    return str(code), err.getvalue()


def wrong(program: Program, words: list[str], code: str, said: str) -> str:
    """What is wrong with that end; empty where nothing is."""
    if code == "begun":
        checked = program.check and words[-1:] == ["--check"] and "--" not in words and said
        return "began although --check was given" if checked else ""
    if code not in ("0", "1", "2"):
        return f"ended with {code}: {said[-1500:]}"
    if NEVER.search(said):
        return f"a library's words: {said[-1500:]}"
    if code == "0":
        return ""
    errors = [line for line in said.splitlines() if re.match(r"(error|[\w./ -]+: error): ", line)]
    if not errors:
        return f"code {code} without a sentence: {said[-500:]!r}"
    sentence = said[said.index(errors[-1]) :]
    if len(sentence) > LONGEST + 100:
        return f"a sentence of {len(sentence)} characters: {sentence[:300]!r} …"
    return ""


def campaign(seed: int, count: int, seconds: float, programs: tuple[Program, ...] = PROGRAMS) -> dict:
    """`count` command lines, as many of every program of this environment; see tests.torture.campaigns."""
    end, here = time.monotonic() + seconds, Path(sys.prefix).name
    programs = tuple(one for one in programs if here in (one.environments or (here,)))
    counts: Counter[str] = Counter()
    failures: dict[str, str] = {}
    before = signal.signal(signal.SIGALRM, too_slow)
    try:
        for place, program in enumerate(programs):
            share = (end - time.monotonic()) / (len(programs) - place)
            for line, problem in tried(program, seed, count // len(programs), share, counts):
                kind = f"{program.module}: {re.sub(r'[0-9]+', '0', problem)[-200:]}"
                failures.setdefault(kind, f"python -m {program.module} {line}: {problem}")
    finally:
        signal.signal(signal.SIGALRM, before)
    return {"counts": dict(counts), "failures": list(failures.values())}


def check_slice(package: str) -> None:
    """That 30 command lines of every program of a package end as they should."""
    programs = tuple(program for program in PROGRAMS if program.module.startswith(f"{package}."))
    found = campaign(0, 30 * len(programs), 1000, programs)
    assert found["failures"] == []
    assert found["counts"]["command lines"] == 30 * len(programs)


def tried(program: Program, seed: int, count: int, seconds: float, counts: Counter[str]) -> Iterator[tuple[str, str]]:
    """The command lines of one program that ended wrongly, each with what is wrong."""
    end, rng = time.monotonic() + seconds, random.Random(f"{seed} {program.module}")
    with contextlib.ExitStack() as stack:
        stack.enter_context(sandbox())
        for name in program.begins:
            module, _, function = name.partition(":")
            stack.enter_context(mock.patch(f"{module}.{function}", begins(name)))
        main, flags = program.main(), flags_of(program)
        for _ in range(count):
            if time.monotonic() > end:
                return
            words = shlex.split(rng.choice(program.lines[: rng.choice((4, len(program.lines)))]))
            words = changed(words, flags.get(words[0], flags[""]), rng)
            words += ["--check"] * (program.check and rng.random() < 0.9)
            code, said = said_by(main, words)
            counts["command lines"] += 1
            counts[{"0": "done", "begun": "begun", "1": "failed", "2": "refused"}.get(code, "wrong")] += 1
            if problem := wrong(program, words, code, said):
                yield shlex.join(word.encode("utf-8", "backslashreplace").decode() for word in words)[:600], problem
