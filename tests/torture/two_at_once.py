"""Two of the same command at once: both end well with the right result, or one says in a sentence why it does not."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import yaml

MOST_SECONDS = 120.0
Main = Callable[[list[str]], int | None]


@dataclass(frozen=True)
class Pair:
    """`prepare` makes the inputs in a folder; `main` with `words`, in which {folder} is it, writes below {folder}/out.

    alone: whether only one of the two need end with 0. same: whether what they write is the same, byte for byte.
    """

    prepare: Callable[[Path], object]
    main: Callable[[], Main]
    words: str
    alone: bool = False
    same: bool = True


def records(folder: Path) -> None:
    """Finished runs of a small table."""
    from reproduce.cells import load_tables
    from tests.reproduce.many_runs import write_runs

    write_runs(load_tables(cells(folder))["small"].cells, [0, 1], folder / "runs", evaluations=5)


def cells(folder: Path) -> Path:
    """A cells file of the fake program, with runs that take a moment."""
    from tests.reproduce.conftest import cells_content

    content = cells_content(step_seconds=0.01)
    del content["tables"]["small"]["published"], content["tables"]["small"]["source"]
    content["tables"]["demo"] = content["tables"]["small"]
    (folder / "cells.yaml").write_text(yaml.safe_dump(content))
    return folder / "cells.yaml"


def one_run(folder: Path) -> None:
    """A finished run by a short name."""
    records(folder)
    (folder / "run").symlink_to(next((folder / "runs").rglob("result.json")).parent)


def registry(folder: Path) -> None:
    """A file to import, and the registry that knows it."""
    import hashlib

    content = b"some data\n" * 1000
    (folder / "file.bin").write_bytes(content)
    entry = 'name = "toy"\ntitle = "t"\nhow = "by-hand"\nfolder = "toy"\nhomepage = "h"\ncitation = "c"\n'
    archive = f'file = "file.bin"\naddresses = []\nsha256 = "{hashlib.sha256(content).hexdigest()}"\n'
    (folder / "registry").mkdir()
    (folder / "registry" / "a.toml").write_text(f"[[dataset]]\n{entry}[[dataset.archive]]\n{archive}")


def nothing(_folder: Path) -> None:
    """No input."""


def of_reproduce() -> Main:
    """The runner."""
    from reproduce.cli import main

    return main


def of_data() -> Main:
    """The data sets."""
    from data.cli import main

    return main


def of_a_program() -> Main:
    """A program that trains, but for the training."""
    from common.program import guarded
    from tests.reproduce import fake_program

    return lambda words: guarded(lambda: fake_program.main(words), "stopped")


def of_keep() -> Main:
    """`reproduce keep` into another folder than the repository's."""
    from reproduce.cells import load_tables
    from reproduce.keep import keep
    from reproduce.runs import runs_of

    def main(words: list[str]) -> int:
        folder = Path(words[0])
        runs = runs_of(load_tables(folder / "cells.yaml")["small"].cells, (0, 1), folder / "runs")
        return 0 if keep(runs, folder / "out") else 1

    return main


def of_shapes() -> Main:
    """The made images."""
    from preprocess.shapes_textures import main

    return main


def load_builder() -> ModuleType:
    """environments/build.py, which is in no package, for steps that need no room on the disk."""
    path = Path(__file__).resolve().parents[2] / "environments" / "build.py"
    spec = importlib.util.spec_from_file_location("environment_build", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # where it finds its neighbour, as it does when it is started
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    vars(module).update(DISK_NEEDED=dict.fromkeys(module.DISK_NEEDED, 0.0))
    return module


def of_builder() -> Main:
    """The builder of environments, with steps that leave a Python and nothing else."""
    module = load_builder()

    def step(command: list[str], *_: object) -> None:
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            time.sleep(0.02)
            python.symlink_to(sys.executable)

    vars(module).update(run=step, count_installed=lambda _folder: sys.maxsize)
    return module.main


TABLE = "--cells {folder}/cells.yaml --runs_dir {folder}/runs"
PAIRS = {
    "tables": Pair(records, of_reproduce, f"tables {TABLE} --out {{folder}}/out"),
    "report": Pair(records, of_reproduce, f"report {TABLE} --out {{folder}}/out/report.html"),
    "run": Pair(
        cells,
        of_reproduce,
        "run --table small --force --jobs 2 --cells {folder}/cells.yaml --runs_dir {folder}/out",
        same=False,
    ),
    "demo": Pair(
        cells,
        of_reproduce,
        "demo --seeds 0 --jobs 2 --cells {folder}/cells.yaml --runs_dir {folder}/out --out {folder}/out/demo",
        alone=True,
        same=False,
    ),
    "program": Pair(
        nothing, of_a_program, "--checkpoint_path {folder}/out --step_seconds 0.01", alone=True, same=False
    ),
    "curves": Pair(one_run, of_reproduce, "curves {folder}/run --out {folder}/out/curves.png"),
    "keep": Pair(records, of_keep, "{folder}"),
    "import": Pair(
        registry, of_data, "import {folder}/file.bin --registry {folder}/registry --data_dir {folder}/out", same=False
    ),
    "shapes": Pair(
        nothing, of_shapes, "--path {folder}/out/tree --train 12 --val 4 --conflict 4 --size 16", alone=True
    ),
    "builder": Pair(nothing, of_builder, "pytorch --home {folder}/out", same=False),
}


def forked(main: Main, words: list[str], said: Path, wait: float) -> int:
    """The process that runs `main`; what it says goes to a file."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        with open(said, "w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                time.sleep(wait)
                try:
                    code = main(words) or 0
                except SystemExit as stop:
                    code = int(stop.code or 0)
                except BaseException:
                    traceback.print_exc()
    finally:
        os._exit(code)


def ended(children: list[int]) -> list[int]:
    """Their exit codes; 98 for one that had to be killed."""
    codes: dict[int, int] = {}
    deadline = time.monotonic() + MOST_SECONDS
    while len(codes) < len(children):
        for child in set(children) - set(codes):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                codes[child] = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                os.kill(child, 9)
                os.waitpid(child, 0)
                codes[child] = 98
        time.sleep(0.005)
    return [codes[child] for child in children]


def written(folder: Path) -> dict[str, bytes]:
    """Every file below; locks are not among them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and path.name != "run.lock"
    }


def wrong(pair: Pair, codes: list[int], said: list[str], folder: Path, right: dict[str, bytes]) -> str:
    """What is wrong with the end of the two; empty where nothing is."""
    if any("Traceback" in text for text in said) or not set(codes) <= {0, 1, 2}:
        return f"ended with {codes}: {' / '.join(text[-800:] for text in said)}"
    if codes != [0, 0] and not (pair.alone and 0 in codes and "error: " in said[codes.index(max(codes))]):
        return f"ended with {codes}: {' / '.join(text[-400:] for text in said)}"
    found = written(folder / "out")
    if left := [name for name in found if re.search(r"\.tmp$|\.part$", name)]:
        return f"left {left[0]}"
    if set(found) != set(right):
        return f"wrote other files: {sorted(set(found) ^ set(right))[:5]}"
    if pair.same and found != right:
        return f"wrote something else: {[name for name in found if found[name] != right[name]][:5]}"
    return ""


def campaign(seed: int, count: int, seconds: float, names: tuple[str, ...] = ()) -> dict:
    """`count` pairs, as many of every command; see tests.torture.campaigns."""
    end, counts, failures, rng = time.monotonic() + seconds, Counter[str](), dict[str, str](), random.Random(seed)
    chosen = {name: pair for name, pair in PAIRS.items() if not names or name in names}
    for number in range(count):
        if time.monotonic() > end:
            break
        name = list(chosen)[number % len(chosen)]
        pair, main = chosen[name], chosen[name].main()
        with tempfile.TemporaryDirectory() as root:
            folder, says = Path(root, "a place"), [Path(root, f"said_{k}") for k in range(2)]
            folder.mkdir()
            pair.prepare(folder)
            words = [word.replace("{folder}", str(folder)) for word in pair.words.split()]
            codes = ended([forked(main, words, says[0], 0.0)])
            right = written(folder / "out")
            if codes != [0]:
                failures[name] = f"{name}, alone: ended with {codes}: {says[0].read_text()[-800:]}"
                continue
            shutil.rmtree(folder / "out")
            wait = rng.choice((0.0, rng.uniform(0, 0.02), rng.uniform(0, 0.3)))
            codes = ended([forked(main, words, say, wait * k) for k, say in enumerate(says)])
            counts["pairs"] += 1
            counts["both done" if codes == [0, 0] else "one refused"] += 1
            said = [say.read_text(encoding="utf-8", errors="replace") for say in says]
            if problem := wrong(pair, codes, said, folder, right):
                failures.setdefault(name, f"{name}, {number}, {wait:.3f} s apart: {problem}")
    return {"counts": dict(counts), "failures": list(failures.values())}
