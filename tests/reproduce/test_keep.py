"""A record that is kept names no folder of the machine it was made on, and is still its cell's."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path

import pytest

import ieg.settings.flags
import moco_nonsem.running.flags
import re_sln.search.search
import re_sln.settings.flags
from common.errors import UsageError
from common.records.record_files import read_result
from reproduce.cells import ROOT, Cell, load_tables
from reproduce.cells.files import CLAIMS
from reproduce.cells.programs import known_programs
from reproduce.keep import keep
from reproduce.runs import DONE, runs_of
from tests.reproduce.many_runs import write_runs

PATCH = next(cell for cell in load_tables()["moco-imagenet100"].cells if cell.row == "+ Patch, K 16384, α 3")


def edit(folder: Path, command: list[str]) -> None:
    path = folder / "result.json"
    path.write_text(json.dumps({**read_result(folder), "command": command}))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The chain of a MoCo cell, made on a machine whose folders have names of their own."""
    runs_dir = tmp_path / "some where" / "runs"
    write_runs([PATCH], [0], runs_dir, evaluations=2)
    folder = PATCH.folder(0, runs_dir)
    commands = PATCH.commands(0, folder, data_dir=tmp_path / "images of mine")
    for stage, command in zip(PATCH.stages, commands, strict=True):
        more = [f"--ckpt_path={tmp_path / 'weights'}"] if stage.name != "eval" else []
        edit(folder / stage.name, [*command, *more])
    return runs_dir


def kept_commands(cell: Cell, runs_dir: Path, target: Path) -> list[str]:
    return [shlex.join(read_result(folder)["command"]) for folder in keep(runs_of((cell,), (0,), runs_dir), target)]


def test_every_path_of_a_chain_becomes_one_below_the_two_folders(made: Path, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    pretrain, lincls, scored = kept_commands(PATCH, made, target)
    run = f"$RUNS_DIR/moco_nonsem/{PATCH.run_name()}/seed_0"
    assert pretrain.startswith("python -m moco_nonsem.moco-non-sem-neg '$DATA_DIR/imagenet100' --arch=resnet50")
    assert pretrain.endswith(f"'--run_dir={run}/pretrain' --seed=0 '--ckpt_path=$RUNS_DIR'")
    assert f"'--pretrained={run}/pretrain/checkpoint_0199.pth.tar'" in lincls
    assert f"'{run}/lincls/checkpoint_robust_0199.pth.tar'" in scored
    assert "'--val=$DATA_DIR/imagenet100/val' '--imagenet-c=$DATA_DIR/imagenet100-c'" in scored
    assert not [path for path in target.rglob("*") if path.is_file() and str(tmp_path) in path.read_text()]
    assert [run.state for run in runs_of((PATCH,), (0,), target)] == [DONE]


def test_folders_may_be_named_by_the_fields_common_flags(tmp_path: Path) -> None:
    cell = load_tables()["ieg-cifar10"].cells[0]
    write_runs([cell], [12345], tmp_path / "runs", evaluations=2)
    folder = cell.folder(12345, tmp_path / "runs") / "a run"
    command = [word for word in read_result(folder)["command"] if not word.startswith("--checkpoint_path")]
    edit(folder, [*command, f"--run_dir={folder}", f"--data_dir={tmp_path}"])
    (run,) = runs_of((cell,), (12345,), tmp_path / "runs")
    assert run.state == DONE, run.why
    keep([run], tmp_path / "kept")
    (kept,) = (tmp_path / "kept").rglob("result.json")
    assert read_result(kept.parent)["command"][-2:] == ["--run_dir=$RUNS_DIR", "--data_dir=$DATA_DIR"]


def test_a_program_that_was_started_by_its_path_and_flags_with_a_space(made: Path, tmp_path: Path) -> None:
    folder = PATCH.folder(0, made) / "lincls"
    command = [
        word for word in read_result(folder)["command"][3:] if not word.startswith(("--pretrained", "--run_dir"))
    ]
    where = [f"--pretrained={tmp_path / 'x' / 'checkpoint_0199.pth.tar'}", "--run-dir", str(folder)]
    edit(folder, ["python", f"{ROOT}/moco_nonsem/main_lincls.py", *command, *where])
    lincls = kept_commands(PATCH, made, tmp_path / "kept")[1]
    run = f"$RUNS_DIR/moco_nonsem/{PATCH.run_name()}/seed_0"
    assert lincls.startswith("python moco_nonsem/main_lincls.py '$DATA_DIR/imagenet100' ")
    assert f"'--pretrained={run}/pretrain/checkpoint_0199.pth.tar' --run-dir '{run}/lincls'" in lincls


@pytest.mark.parametrize("where", ["argument", "notes", "config.yml"])
def test_a_place_that_cannot_be_told_is_refused(made: Path, tmp_path: Path, where: str) -> None:
    folder = PATCH.folder(0, made) / "pretrain"
    result = read_result(folder)
    if where == "argument":
        command = [
            word.replace(str(tmp_path / "images of mine" / "imagenet100"), "~/mine") for word in result["command"]
        ]
        edit(folder, command)
    elif where == "notes":
        (folder / "result.json").write_text(json.dumps({**result, "notes": {"log": "as in /home/me/log.txt"}}))
    else:
        (folder / "config.yml").write_text('weights: "/home/me/w.pt"\n')
    with pytest.raises(UsageError, match=r"names '(~/mine|/home/me/(log\.txt|w\.pt))', a place on this machine"):
        kept_commands(PATCH, made, tmp_path / "kept")
    assert not list((tmp_path / "kept").rglob("*"))


def test_every_program_of_every_cells_file_is_known_with_the_flag_of_its_folder() -> None:
    known = known_programs()
    for cell in (cell for table in load_tables().values() for cell in table.cells):
        for stage in cell.stages:
            program = known[stage.program[2]]
            assert program.environment == cell.environment
            assert program.path_flags == stage.path_flags and stage.path_flags[cell.folder_flag] == "RUNS_DIR"
            assert [bool(way) for way in (program.prints, program.repeats, program.never)].count(True) == 1


def test_another_cells_file_need_not_say_it_again_and_may_say_its_own(made: Path) -> None:
    claims = load_tables(CLAIMS)
    (flags,) = {tuple(cell.stages[-1].path_flags) for cell in claims["claims-moco"].cells}
    assert "cue_conflict" in flags
    stage = dataclasses.replace(PATCH.stages[-1], path_flags={})
    run = runs_of((dataclasses.replace(PATCH, stages=(*PATCH.stages[:-1], stage)),), (0,), made)[0]
    assert run.state == "foreign" and "--imagenet_c" in run.why


def test_the_path_flags_are_flags_of_their_programs() -> None:
    kinds = {
        "ieg.main": ieg.settings.flags.Flags,
        "re_sln.train_cifar": re_sln.settings.flags.Flags,
        "re_sln.train_real": re_sln.settings.flags.Flags,
        "re_sln.train_clothing1m": re_sln.settings.flags.Flags,
        "re_sln.tune": re_sln.search.search.SearchFlags,
        "moco_nonsem.moco-non-sem-neg": moco_nonsem.running.flags.PretrainFlags,
        "moco_nonsem.main_lincls": moco_nonsem.running.flags.LinearFlags,
        "moco_nonsem.eval_robustness": moco_nonsem.running.flags.RobustnessFlags,
    }
    assert kinds.keys() == known_programs().keys()
    for name, program in known_programs().items():
        fields = dataclasses.fields(kinds[name])
        spelled = {word.lstrip("-") for field in fields for word in (field.name, *field.metadata.get("also", ()))}
        assert set(program.path_flags) <= spelled, name
