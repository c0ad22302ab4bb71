"""Whether a finished run can be trusted: its record is consistent, and its program computes the result again.

The seal shows whether a record was changed by hand. Value and data do not depend on it: they are recomputed, from the
run's checkpoint and from the data that are here.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.children import output_of
from common.errors import RecordError
from common.paths import user_path
from common.records.config_text import config_hash, run_id
from common.records.provenance import ask_git, is_repository
from common.records.record_files import CONFIG, METRICS, read_config, read_metrics, read_result
from common.records.result_schema import seal
from reproduce.cells import DATA_DIR, ROOT
from reproduce.cells.programs import known_programs, program_of
from reproduce.engines.commands import started

VERIFIED, CONSISTENT, MISMATCH = "verified", "record consistent (not re-scored)", "MISMATCH"
TOLERANCE = 5e-4  # 5 of 10,000 test images: other hardware may decide them otherwise


@dataclass
class Finding:
    """What was found about one record: `problems` say what does not match, `remarks` what could not be checked."""

    folder: Path
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    scored: bool = False

    def __str__(self) -> str:
        state = MISMATCH if self.problems else VERIFIED if self.scored else CONSISTENT
        lines = [f"{state}: {self.folder}", *(f"    {text}" for text in [*self.problems, *self.remarks])]
        return "\n".join(lines)


def verify(folder: Path, data_dir: Path | None, tolerance: float = TOLERANCE, records_only: bool = False) -> Finding:
    """Look at one record, and unless told otherwise score the run again."""
    finding = Finding(folder)
    try:
        result = read_result(folder)
        if not result["finished"]:
            finding.remarks.append("unfinished: there is no result yet")
            return finding
        _check_record(folder, result, finding)
        if not records_only:
            _score_again(folder, result, data_dir, tolerance, finding)
    except RecordError as error:
        finding.problems.append(str(error))
    return finding


def _check_record(folder: Path, result: Mapping[str, Any], finding: Finding) -> None:
    if "seal" not in result:
        finding.remarks.append("the record has no seal: it was written by an earlier version")
    elif result["seal"] != seal(result):
        finding.problems.append("result.json was changed after it was written: its seal does not fit")
    if not (folder / CONFIG).exists():
        raise RecordError(f"{folder / CONFIG} is missing")
    if config_hash(read_config(folder)) != result["config_hash"]:
        finding.problems.append(f"{CONFIG} is not the configuration of this result: its hash is another")
    if result["run_id"] != run_id(result["sub_project"], result["config_hash"], result["seed"]):
        finding.problems.append(
            f"run_id {result['run_id']} does not go with its configuration and seed {result['seed']}"
        )
    _check_commit(result["git"], finding)
    if (folder / METRICS).exists():
        _check_metrics(result, read_metrics(folder), finding)


def _check_commit(git: Mapping[str, Any], finding: Finding) -> None:
    if git["commit"] is None:
        finding.remarks.append("the commit of its code is not known")
        return
    if not is_repository():
        finding.remarks.append("the commit of its code cannot be looked up: git knows no repository here")
    elif ask_git("cat-file", "-e", f"{git['commit']}^{{commit}}").returncode:
        commit = f"commit {git['commit']}"
        if ask_git("rev-parse", "--is-shallow-repository").stdout.strip() == "true":
            finding.remarks.append(f"{commit} is not in this shallow clone; `git fetch --unshallow` brings its history")
        else:
            finding.problems.append(f"{commit} is not in this repository: the code that made it is not here")
    if git["dirty"]:
        finding.remarks.append("its code had changes that were not committed")


def _check_metrics(result: Mapping[str, Any], lines: list[dict[str, float]], finding: Finding) -> None:
    """Every metric of a result was logged: at its step, at the last one, or, in a search for σ, under its own name."""
    at_step = [line for line in lines if line["step"] == result["metrics_step"]]
    if not at_step:
        return
    logged = set(at_step[-1].values()) | set(lines[-1].values())
    for name, value in result["metrics"].items():
        own = [line[name] for line in lines if name in line]
        if value not in logged and value not in own[-1:]:
            finding.problems.append(f"{name} = {value} is not in {METRICS} at step {result['metrics_step']}")


def _score_again(
    folder: Path, result: Mapping[str, Any], data_dir: Path | None, tolerance: float, finding: Finding
) -> None:
    name = program_of(result["command"])
    shell = dict(os.environ) | ({"DATA_DIR": str(data_dir)} if data_dir else {})
    _check_chain(folder, result, shell, finding)
    if name not in known_programs():
        raise RecordError(f"{folder}: no way is known to score a run of {name} again")
    program = known_programs()[name]
    if program.never:
        finding.remarks.append(f"not scored again: {program.never}")
        return
    with tempfile.TemporaryDirectory() as scratch:
        more = program.prints or program.repeats
        places = {"folder": folder, "parent": folder.parent, "scratch": Path(scratch) / "run"}
        words = [_with_folders(word, shell) for word in result["command"]] + [word.format(**places) for word in more]
        done = output_of(started(words, program.environment), ROOT, shell)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise RecordError(f"it cannot be scored again: {said[-1] if said else f'exit code {done.returncode}'}")
        scored = _printed(done.stdout) if program.prints else _result_in(places["scratch"])
    finding.scored = True
    finding.problems += contradictions(result, scored, tolerance)


def contradictions(result: Mapping[str, Any], scored: Mapping[str, Any], tolerance: float) -> list[str]:
    """Where a result and what was scored now differ, in words. `scored`: step, metrics, dataset, perhaps kept.

    Where the step that counts is not the last one, whose checkpoint there is: `kept` are the scores in that checkpoint.
    """
    problems = [
        f"data {name} {result['dataset'][name]!r}, but the data here have {scored['dataset'][name]!r}"
        for name in ("name", "version", "fingerprint")
        if result["dataset"][name] != scored["dataset"][name]
    ]
    claimed, now = result["metrics"], dict(scored["metrics"])
    if scored["step"] != result["metrics_step"]:
        end = dict(scored.get("kept", {}).get("end", {}))
        if end.pop("step", None) != result["metrics_step"]:
            return [*problems, f"its metrics are of step {result['metrics_step']}, its checkpoint of {scored['step']}"]
        now = end | {"accuracy_last_step": now["accuracy"]}
    for name, value in now.items():
        if name in claimed and abs(claimed[name] - value) > tolerance:
            problems.append(f"{name} = {claimed[name]}, but scored again it is {value}")
    if not set(now) & set(claimed):
        problems.append(f"none of its metrics {', '.join(claimed)} is among those scored again, {', '.join(now)}")
    return problems


def _check_chain(folder: Path, result: Mapping[str, Any], shell: Mapping[str, str], finding: Finding) -> None:
    """A classifier says which encoder it was trained on, and scores say which classifier's they are."""
    config, scored = read_config(folder), result["notes"].get("checkpoint")
    words = [_with_folders(word, shell) for word in result["command"]]
    chain = {
        "pretrained_sha256": [word.partition("=")[2] for word in words if word.startswith("--pretrained=")],
        "checkpoint_sha256": [word for word in words if not word.startswith("-") and Path(word).name == scored],
    }
    for name, given in chain.items():
        if name not in config or not given:
            continue
        path, what = ROOT / given[0], "trained on" if name.startswith("pretrained") else "scored with"
        if not path.is_file():
            finding.remarks.append(f"{path}, which it was {what}, is not here")
            continue
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != config[name]:
                finding.problems.append(f"{path} is not the checkpoint that it was {what}")


def _with_folders(word: str, shell: Mapping[str, str]) -> str:
    """`$DATA_DIR` and `$RUNS_DIR`, which kept records contain, as folders of this machine."""
    for name, default in {"DATA_DIR": ROOT / DATA_DIR, "RUNS_DIR": ROOT / "runs"}.items():
        word = word.replace(f"${name}", str(user_path(shell.get(name) or default).absolute()))
    return word


def _printed(output: str) -> dict[str, Any]:
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise RecordError("its program scored it, but printed no line of JSON")


def _result_in(folder: Path) -> dict[str, Any]:
    result = read_result(folder)
    return {"step": result["metrics_step"], "metrics": result["metrics"], "dataset": result["dataset"]}
