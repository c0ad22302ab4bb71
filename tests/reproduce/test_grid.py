"""Twelve short runs of the three sub-projects, by either engine: a program of each killed half-way changes nothing."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.records.record_files import read_result
from reproduce.cells import ROOT, load_tables
from reproduce.cli import main
from reproduce.engines.commands import python_of
from reproduce.runs import DONE, records_of, runs_of

GRID = Path(__file__).with_name("grid.yaml")
TABLES = load_tables(GRID)
SAME = ("config_hash", "seed", "metrics", "metrics_step", "best_on_test", "dataset", "finished")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        not all((ROOT / python_of(name)).exists() for name in ("tensorflow", "pytorch")),
        reason="needs both environments: make env-tensorflow env-pytorch",
    ),
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits as image files, too."""
    from PIL import Image
    from sklearn.datasets import load_digits

    folder, digits = tmp_path_factory.mktemp("data"), load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images[:400], digits.target[:400], strict=True)):
        path = folder / "digits-tree" / ("train" if number < 320 else "val") / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15.9).astype("uint8")).resize((40, 40)).convert("RGB").save(path)
    (folder / "digits-tree" / "NAME").write_text("digits\n")
    return folder


def run(place: Path, data_dir: Path, *more: str) -> None:
    for name in TABLES:
        words = ["--cells", str(GRID), "--table", name, "--runs_dir", str(place), "--data_dir", str(data_dir)]
        assert main(["run", *words, *more]) == 0


def outcome(place: Path) -> dict[str, object]:
    """Of every record what does not depend on clock and machine, and its evaluations."""
    found: dict[str, object] = {}
    for table in TABLES.values():
        for one in runs_of(table.cells, None, place):
            assert one.state == DONE, one
            for stage, record in records_of(one):
                result = read_result(record)
                kept = {name: result[name] for name in SAME}
                found[f"{one.name} {stage}"] = (kept, (record / "metrics.jsonl").read_text())
    return found


def killing(place: Path, whom: Callable[[int], int]) -> threading.Thread:
    """Kill one program of each sub-project below `place`, or its worker, while it trains: it is stopped for a look."""
    left = {cell.sub_project for table in TABLES.values() for cell in table.cells}

    def kill() -> None:
        deadline = time.monotonic() + 3000
        while left and time.monotonic() < deadline:
            for process, folder in programs(place):
                name = folder.relative_to(place).parts[0]
                if name not in left:
                    continue
                with contextlib.suppress(OSError):  # it ended while we looked
                    os.kill(process, signal.SIGSTOP)
                    results = [json.loads(path.read_text()) for path in folder.rglob("result.json")]
                    if results and not all(result["finished"] for result in results):
                        os.kill(whom(process), signal.SIGKILL)
                        left.remove(name)
                    os.kill(process, signal.SIGCONT)
            time.sleep(0.05)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def programs(place: Path) -> list[tuple[int, Path]]:
    """Those that write below a folder, by process id, each with where."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        flags = ("--run_dir=", "--checkpoint_path=")
        folders = [Path(word.partition("=")[2]) for word in words if word.startswith(flags)]
        found += [(int(path.parent.name), folder) for folder in folders[:1] if folder.is_relative_to(place)]
    return found


def begun_again(place: Path) -> int:
    """How many commands were started a second time."""
    lines = [path.read_text(errors="replace").splitlines() for path in place.rglob("log.txt")]
    commands = [[line for line in of if line.startswith("$ ")] for of in lines]
    return sum(len(of) - len(set(of)) for of in commands)


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> dict[str, object]:
    place = tmp_path_factory.mktemp("undisturbed")
    run(place, data_dir, "--jobs", "2")
    return outcome(place)


def test_the_grid_is_large_enough() -> None:
    cells = [cell for table in TABLES.values() for cell in table.cells]
    assert len(cells) >= 12 and len({cell.sub_project for cell in cells}) == 3


def test_local_with_a_killed_program(
    undisturbed: dict[str, object], tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thread = killing(tmp_path, lambda process: process)
    run(tmp_path, data_dir, "--jobs", "2")
    thread.join()
    assert capsys.readouterr().err.count("by signal 9; restarting it") == 3
    assert begun_again(tmp_path) == 3
    assert json.dumps(outcome(tmp_path), sort_keys=True) == json.dumps(undisturbed, sort_keys=True)


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is in the environment of PyTorch")
def test_ray_with_a_killed_worker(undisturbed: dict[str, object], tmp_path: Path, data_dir: Path) -> None:
    thread = killing(tmp_path, parent)
    run(tmp_path, data_dir, "--engine", "ray")
    thread.join()
    assert begun_again(tmp_path) == 3
    assert json.dumps(outcome(tmp_path), sort_keys=True) == json.dumps(undisturbed, sort_keys=True)
