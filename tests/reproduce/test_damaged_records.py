"""Records that are damaged: their readers say which file it is, or leave it out; none ends with a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import RecordError
from common.records.record_files import finished_result, read_config, read_metrics, read_result
from reproduce.cells import load_tables
from reproduce.cli import main
from reproduce.report.packed import thinned_lines
from reproduce.runs import runs_of
from reproduce.tables.imported import RE_SLN
from tests.damages import put, without
from tests.reproduce import fake_program

DEEP = b"[" * 100_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with the one run of a small table; other tests' fixtures are of one test."""
    return tmp_path_factory.mktemp("made") / "runs"


@pytest.fixture
def cells(write_cells: Callable[..., Path]) -> Path:
    return write_cells(max_iteration=4)


@pytest.fixture
def record(cells: Path, made: Path, tmp_path: Path) -> Path:
    """The record of a finished run, in a folder of runs of its own."""
    cell = load_tables(cells)["small"].cells[0]
    if not made.exists():
        assert fake_program.main(cell.command(0, cell.folder(0, made))[3:]) == 0
    shutil.copytree(made, tmp_path / "runs")
    (result,) = (tmp_path / "runs").rglob("result.json")
    return result.parent


Harm = Callable[[Path], object]


def sealed(text: bytes) -> Harm:
    return lambda path: path.write_bytes(text)


def edited(damage: Callable[[Any], None]) -> Harm:
    """A result.json with that damage."""

    def edit(path: Path) -> None:
        content = json.loads(path.read_text())
        damage(content)
        path.write_text(json.dumps(content))

    return edit


def first_line(**changes: Any) -> Harm:
    """A metrics.jsonl whose first line has other values."""

    def edit(path: Path) -> None:
        line, *others = path.read_text().splitlines()
        path.write_text("\n".join([json.dumps({**json.loads(line), **changes}), *others, ""]))

    return edit


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


ANY = {
    "not UTF-8": sealed(b"\xff\xfe\x00"),
    "nested deeply": sealed(DEEP + b"\n"),
    "empty": sealed(b""),
    "noughts": sealed(bytes(100)),
    "a folder": folder_instead,
}
RESULT = {
    **ANY,
    "a list": sealed(b"[]"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "half a character": edited(put("\ud800", "device")),
    "a command of half a character": edited(put(["python", "\ud800"], "command")),
    "seconds without an end": edited(put(10**400, "wall_seconds")),
    "memory without an end": edited(put(10**400, "peak_memory_bytes")),
    "a metric without an end": edited(put(10**400, "metrics", "accuracy")),
    "a metric that is a word": edited(put("high", "metrics", "accuracy")),
    "no accuracy": edited(without("metrics", "accuracy")),
    "no metrics": edited(put({}, "metrics")),
    "no data": edited(without("dataset")),
    "data of another kind": edited(put([1], "dataset")),
    "git of another kind": edited(put("x", "git")),
    "notes of another kind": edited(put([1], "notes")),
    "not a number": lambda path: path.write_text(path.read_text().replace('"seed": 0', '"seed": NaN')),
}
METRICS = {
    **ANY,
    "nested deeply in a line": lambda path: path.write_bytes(path.read_bytes() + DEEP + b"\n"),
    "a value that is a word": first_line(accuracy="high"),
    "a value that is none": first_line(accuracy=None),
    "a value without an end": first_line(accuracy=10**400),
    "a step without an end": first_line(step=10**400),
    "a step that is true": first_line(step=True),
    "not a number": lambda path: path.write_text('{"step": 1, "epoch": 1, "a": NaN}\n'),
    "a list": sealed(b"[1]\n"),
}
CONFIG = {**ANY, "no colon": sealed(b"seed\n"), "a value nested deeply": sealed(b"seed: " + DEEP + b"\n"),
          "a word of YAML": sealed(b"on: 1\n"), "no finite number": sealed(b"lr: NaN\n"),
          "a value that is no JSON": sealed(b"seed: three\n")}  # fmt: skip
DAMAGES = [
    pytest.param(name, damage, id=f"{name} {kind}")
    for name, damages in (("result.json", RESULT), ("metrics.jsonl", METRICS), ("config.yml", CONFIG))
    for kind, damage in damages.items()
]


# Well-formed: no line yet, or a metric that only some readers need.
HARMLESS = {"metrics.jsonl empty", "metrics.jsonl noughts", "config.yml empty", "result.json no accuracy"}
BROKEN = [damage for damage in DAMAGES if damage.id not in HARMLESS]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_no_reader_ends_with_a_traceback(
    cells: Path,
    record: Path,
    tmp_path: Path,
    name: str,
    damage: Harm,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(record / name)
    runs, out = tmp_path / "runs", tmp_path / "out"
    place = ["--cells", str(cells), "--runs_dir", str(runs)]
    for command in (
        ["plan", *place],
        ["tables", *place, "--out", str(out)],
        ["report", *place, "--out", str(out / "report.html")],
        ["verify", "--records_only", str(runs)],
        ["curves", str(record), "--out", str(out / "curves.png")],
    ):
        code = main(command)
        said = capsys.readouterr()
        assert code in (0, 1, 2), command
        assert len([line for line in said.err.splitlines() if line.startswith("error: ")]) == (code == 2), command
        (said.out + said.err).encode()
        if command[0] == "plan" and name == "result.json" and (record / name).is_file():
            assert str(record) in said.out and "move that folder elsewhere" in said.out


@pytest.mark.parametrize(("name", "damage"), BROKEN)
def test_the_sentence_names_the_file(record: Path, name: str, damage: Harm) -> None:
    damage(record / name)
    readers: dict[str, Callable[[Path], Any]] = {
        "result.json": read_result,
        "metrics.jsonl": read_metrics,
        "config.yml": read_config,
    }
    with pytest.raises(RecordError) as caught:
        readers[name](record)
    message = str(caught.value)
    assert str(record / name) in message and "\n" not in message and len(message) < 600


def test_a_finished_run_without_its_metric(record: Path) -> None:
    config = read_config(record)
    assert finished_result(record, config, "accuracy")
    edited(without("metrics", "accuracy"))(record / "result.json")
    with pytest.raises(RecordError, match=r"result\.json says that the run is finished, but holds no accuracy"):
        finished_result(record, config, "accuracy")


def test_a_plan_says_which_file_it_is(cells: Path, record: Path, tmp_path: Path) -> None:
    (record / "result.json").write_bytes(b"\xff")
    run = runs_of(load_tables(cells)["small"].cells, (0,), tmp_path / "runs")[0]
    assert run.state == "foreign" and str(record / "result.json") in run.why and "UTF-8" in run.why


def test_a_report_shows_what_can_be_read(record: Path) -> None:
    path = record / "metrics.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(whole[0] + b"\xff\xfe\n" + DEEP + b"\n" + b'{"step": 2, "a": "x"}\n' + whole[-1])
    assert [line["step"] for line in thinned_lines(path, 100)] == [
        json.loads(line)["step"] for line in (whole[0], whole[-1])
    ]


@pytest.mark.parametrize(
    ("name", "read"), [("result.json", read_result), ("metrics.jsonl", read_metrics), ("config.yml", read_config)]
)
def test_a_byte_order_mark_is_no_damage(record: Path, name: str, read: Callable[[Path], Any]) -> None:
    """As some editors leave it."""
    whole = read(record)
    (record / name).write_bytes(b"\xef\xbb\xbf" + (record / name).read_bytes())
    assert read(record) == whole


LINE = "cell,row,column,n,values,records\n"


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b"a,b\n1,2\n",
        LINE.encode() + b"cifar10,CE,asym,1,high,exp_a\n",
        LINE.encode() + b"cifar10,CE,asym,2,1 2,exp_a\n",
        LINE.encode() + b"cifar10,CE,asym\n",
        LINE.encode() + b"cifar10,CE,asym,1," + b"1" * 200_000 + b",exp_a\n",
    ],
    ids=["not UTF-8", "other columns", "a word", "a run too few", "cut", "a field without an end"],
)
def test_imported_numbers_that_are_damaged(tmp_path: Path, text: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "imported" / "re_sln"
    folder.mkdir(parents=True)
    for stem in RE_SLN.values():
        (folder / f"{stem}.csv").write_bytes(text)
    (folder / "logs.txt").write_text("/published\n")
    assert main(["tables", "--table", "sln-cifar10-imported", "--runs_dir", str(tmp_path)]) == 2
    assert "cifar10.csv is damaged" in capsys.readouterr().err
