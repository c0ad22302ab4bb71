"""A record that was changed does not stand: not against its seal, its metrics, its repository, nor its own program."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.records import provenance
from common.records.record import RunRecord
from common.records.record_files import read_result
from common.records.result_schema import seal
from reproduce import verify as module
from reproduce.cells import ROOT
from reproduce.cells.programs import Program, known_programs, program_of
from reproduce.cli import main
from reproduce.engines.commands import python_of
from reproduce.verify import contradictions, verify

HERE = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture(autouse=True)
def scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = {"tests.reproduce.fake_scorer": Program("tensorflow", prints=("--folder={folder}",))}
    programs = {**known_programs(), **scored}
    monkeypatch.setattr(module, "known_programs", lambda: programs)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run, and what its program says when it scores it again."""
    folder = tmp_path / "run"
    dataset = {"name": "digits", "version": "1", "fingerprint": "f" * 64}
    record = RunRecord(
        folder,
        sub_project="ieg",
        command=["python", "-m", "tests.reproduce.fake_scorer", "--data_dir=$DATA_DIR"],
        config={"lr": 0.1},
        seed=3,
        dataset=dataset,
        device="cpu",
        world_size=1,
        libraries={},
    )
    record.begin()
    record.log(10, 1.0, {"accuracy/test": 0.75, "loss": 1.0})
    record.finish({"accuracy": 0.75}, 10, {})
    scored = {"step": 10, "metrics": {"accuracy": 0.75}, "dataset": dataset}
    (folder / "scored.json").write_text(json.dumps(scored))
    return folder


def edit(folder: Path, change: Edit, sealed: bool = False) -> None:
    """Change a record by hand; sealed: and hide it, as well as one can in the record itself."""
    result = read_result(folder)
    change(result)
    if sealed:
        result["seal"] = seal(result)
    (folder / "result.json").write_text(json.dumps(result))


def test_a_run_that_nobody_touched_stands(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = verify(run, None)
    assert (found.problems, found.scored) == ([], True)
    assert str(found).startswith(f"verified: {run}")
    assert main(["verify", str(run.parent)]) == 0
    assert "1 of 1 records verified" in capsys.readouterr().err


def repository(place: Path, monkeypatch: pytest.MonkeyPatch, shallow: bool) -> None:
    """The code lies in another repository, or in a clone of it that knows its last commit only."""
    commit = ["-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "one"]
    git = ["git", "-C", str(place / "whole")]
    (place / "whole").mkdir()
    for arguments in (["init", "-q"], commit, commit):
        subprocess.run([*git, *arguments], check=True)
    clone = ["clone", "-q", *(["--depth=1"] if shallow else []), f"file://{place / 'whole'}", str(place / "clone")]
    subprocess.run([*git, *clone], check=True)
    monkeypatch.setattr(provenance, "ROOT", str(place / "clone"))


@pytest.mark.parametrize("shallow", [True, False])
def test_a_commit_that_a_shallow_clone_lacks_is_no_contradiction(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shallow: bool
) -> None:
    edit(run, lambda r: r["git"].update(commit="1" * 40, dirty=False), sealed=True)
    repository(tmp_path, monkeypatch, shallow)
    found = verify(run, None, records_only=True)
    word = f"commit {'1' * 40} is not in this "
    if shallow:
        remark = f"{word}shallow clone; `git fetch --unshallow` brings its history"
        assert (found.problems, found.remarks) == ([], [remark])
    else:
        assert found.problems == [f"{word}repository: the code that made it is not here"]


TAMPERED: dict[str, tuple[Edit, str]] = {
    "value": (lambda r: r["metrics"].update(accuracy=0.85), "accuracy = 0.85 is not in metrics.jsonl"),
    "commit": (lambda r: r["git"].update(commit="1" * 40), "is not in this repository"),
    "fingerprint": (lambda r: r["dataset"].update(fingerprint="e" * 64), "data fingerprint 'eee"),
    "data": (lambda r: r["dataset"].update(name="cifar10"), "data name 'cifar10', but the data here have 'digits'"),
    "seed": (lambda r: r.update(seed=4), "does not go with its configuration and seed 4"),
    "hash": (lambda r: r.update(config_hash="0" * 64), "its hash is another"),
}


@pytest.mark.parametrize("name", TAMPERED)
@pytest.mark.parametrize("sealed", [False, True])
def test_what_was_changed_by_hand_is_caught(
    run: Path, name: str, sealed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, message = TAMPERED[name]
    if name == "commit":
        repository(tmp_path, monkeypatch, shallow=False)  # this one may be a shallow clone
    edit(run, change, sealed)
    problems = verify(run, None).problems
    assert any(message in problem for problem in problems), problems
    assert any("its seal does not fit" in problem for problem in problems) is not sealed
    assert main(["verify", str(run)]) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["git"].update(commit=HERE if r["git"]["commit"] != HERE else None),
        lambda r: r.update(wall_seconds=1.0),
        lambda r: r.update(device="NVIDIA H200"),
        lambda r: r["git"].update(dirty=not r["git"]["dirty"]),
    ],
)
def test_the_seal_covers_what_nothing_else_can_tell(run: Path, change: Edit) -> None:
    edit(run, change)
    assert any("its seal does not fit" in problem for problem in verify(run, None).problems)


def test_a_value_that_was_changed_everywhere_is_caught_by_scoring_again(run: Path) -> None:
    edit(run, lambda r: r["metrics"].update(accuracy=0.85), sealed=True)
    path = run / "metrics.jsonl"
    path.write_text(path.read_text().replace("0.75", "0.85"))
    assert verify(run, None, records_only=True).problems == []
    assert verify(run, None).problems == ["accuracy = 0.85, but scored again it is 0.75"]


def test_a_configuration_that_was_changed_is_caught(run: Path) -> None:
    (run / "config.yml").write_text("lr: 0.2\n")
    assert any("config.yml is not the configuration" in problem for problem in verify(run, None).problems)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("world_size", None, "result field world_size is missing"),
        ("world_size", "1", "result field world_size = '1'; it must be an integer from 1 on"),
        ("metrics", {"accuracy": "0.75"}, "result field metrics = {'accuracy': '0.75'}"),
        ("seal", "short", "result field seal = 'short'"),
    ],
)
def test_a_record_with_a_wrong_field_is_refused_with_its_path(run: Path, field: str, value: Any, message: str) -> None:
    result = {**read_result(run), field: value}
    if value is None:
        del result[field]
    (run / "result.json").write_text(json.dumps(result))
    (problem,) = verify(run, None).problems
    assert problem.startswith(f"{run / 'result.json'}: {message}")


def test_a_run_without_its_checkpoint_does_not_stand(run: Path) -> None:
    (run / "scored.json").unlink()
    assert verify(run, None).problems == ["it cannot be scored again: error: there is no checkpoint"]
    assert verify(run, None, records_only=True).problems == []


def test_a_search_logged_each_of_its_metrics_in_a_line_of_its_own(run: Path) -> None:
    metrics = {"accuracy_val_sigma_0.1": 0.5, "accuracy_val_sigma_1.0": 0.75}
    lines = [
        {"step": step, "epoch": 1.0, name: value} for step, (name, value) in zip((9, 10), metrics.items(), strict=True)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    edit(run, lambda r: r.update(metrics=metrics), sealed=True)
    assert verify(run, None, records_only=True).problems == []
    edit(run, lambda r: r["metrics"].update({"accuracy_val_sigma_0.1": 0.6}), sealed=True)
    (problem,) = verify(run, None, records_only=True).problems
    assert "accuracy_val_sigma_0.1 = 0.6 is not in metrics.jsonl" in problem


def test_unfinished_and_unknown_runs(run: Path) -> None:
    edit(run, lambda r: r.update(finished=False))
    assert verify(run, None).remarks == ["unfinished: there is no result yet"]
    edit(run, lambda r: r.update(finished=True, command=["python", "other.py"]))
    assert any("no way is known to score a run of other again" in problem for problem in verify(run, None).problems)


def test_the_step_that_counts_is_found_in_the_checkpoint_of_the_last_one() -> None:
    data = {"name": "digits", "version": "1", "fingerprint": "f"}
    result = {"metrics": {"accuracy": 0.5, "accuracy_last_step": 0.4}, "metrics_step": 28, "dataset": data}
    end = {"step": 28, "accuracy": 0.5}
    scored = {"step": 30, "metrics": {"accuracy": 0.4}, "dataset": data, "kept": {"end": end}}
    assert contradictions(result, scored, 1e-4) == []
    wrong = {**result, "metrics": {"accuracy": 0.51, "accuracy_last_step": 0.41}}
    assert len(contradictions(wrong, scored, 1e-4)) == 2
    assert "its metrics are of step 28" in contradictions(result, scored | {"kept": {}}, 1e-4)[0]
    assert "none of its metrics" in contradictions({**result, "metrics": {"other": 1.0}}, scored, 1e-4)[0]


def test_tolerance() -> None:
    data = {"name": "digits", "version": "1", "fingerprint": "f"}
    result = {"metrics": {"accuracy": 0.5}, "metrics_step": 1, "dataset": data}
    scored = {"step": 1, "metrics": {"accuracy": 0.5004}, "dataset": data}
    assert contradictions(result, scored, 5e-4) == []
    assert contradictions(result, scored, 3e-4) == ["accuracy = 0.5, but scored again it is 0.5004"]


def test_the_program_of_a_command() -> None:
    assert program_of(["python", "-m", "ieg.main", "--x"]) == "ieg.main"
    assert program_of(["python", "re_sln/train_cifar.py", "--x"]) == "re_sln.train_cifar"
    assert program_of(["python", "/some/where/re_sln/train_cifar.py"]) == "re_sln.train_cifar"


def test_nothing_to_verify_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "there is no finished run" in capsys.readouterr().err


RUNS = {
    "ieg": "ieg.main --dataset=digits_uniform_0.8 --image_size=8 --network_name=wrn10-1 --batch_size=50 --seed=0"
    " --probe_dataset_hold_ratio=0.014 --max_iteration=30 --method=supervised --checkpoint_path={place}",
    "re_sln": "re_sln.train_cifar --dataset_name=digits --image_size=8 --network=wrn-10-1 --p=0.4 --n_epochs=2"
    " --sigma=1 --mo --ema_decay=0.5 --lr=0.03 --seed=0 --run_dir={place}/run",
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "environment"), [("ieg", "tensorflow"), ("re_sln", "pytorch")])
def test_a_real_run_is_scored_again_and_a_changed_one_caught(name: str, environment: str, tmp_path: Path) -> None:
    python = python_of(environment)
    if not (ROOT / python).exists():
        pytest.skip(f"make env-{environment} builds the environment of {name}")
    words = RUNS[name].format(place=tmp_path / "runs").split()
    subprocess.run([python, "-m", *words], cwd=ROOT, check=True, capture_output=True)
    (path,) = (tmp_path / "runs").rglob("result.json")
    found = verify(path.parent, None)
    assert (found.problems, found.scored) == ([], True)
    moved = tmp_path / "moved" / path.parent.name
    shutil.copytree(path.parent, moved)
    assert verify(moved, None).problems == []
    edit(moved, lambda r: r["dataset"].update(fingerprint="e" * 64), sealed=True)
    assert any("data" in problem for problem in verify(moved, None).problems)
    value = read_result(path.parent)["metrics"]["accuracy"]
    edit(path.parent, lambda r: r["metrics"].update({key: 0.9 for key in r["metrics"]}), sealed=True)
    lines = (path.parent / "metrics.jsonl").read_text().splitlines()
    changed = [json.dumps({**json.loads(line), "accuracy/test": 0.9}) for line in lines]
    (path.parent / "metrics.jsonl").write_text("\n".join(changed) + "\n")
    assert f"accuracy = 0.9, but scored again it is {value}" in verify(path.parent, None).problems
