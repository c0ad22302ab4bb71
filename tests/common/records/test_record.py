from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.errors import RecordError
from common.records import provenance
from common.records.record import RunRecord
from common.records.record_files import read_config, read_metrics, read_result
from common.storage.locks import is_running


def make(folder: Path, *, environment: str | None = None, **config: Any) -> RunRecord:
    return RunRecord(
        folder,
        sub_project="ieg",
        command=["python", "-m", "ieg.main", "--seed=3"],
        config={"method": "ieg", "seed": 3, **config},
        seed=3,
        dataset={"name": "digits", "version": "1", "fingerprint": "f"},
        device="cpu",
        world_size=1,
        libraries={"tensorflow": "2.15.1"},
        environment=environment,
    )


def whole_run(folder: Path) -> None:
    record = make(folder)
    record.begin()
    for step in (2, 4, 6):
        record.log(step, step / 2, {"b": step / 10, "a": 1 / 3})
    record.finish({"accuracy": 0.6}, 6, {"accuracy": {"value": 0.7, "step": 4}}, {"cycle_ends": [6]})


def test_a_whole_run(tmp_path: Path) -> None:
    whole_run(tmp_path / "run")
    result = read_result(tmp_path / "run")
    assert result["finished"] is True
    assert result["metrics"] == {"accuracy": 0.6}
    assert result["metrics_step"] == 6
    assert result["best_on_test"] == {"accuracy": {"value": 0.7, "step": 4}}
    assert result["run_id"] == f"ieg-{result['config_hash'][:12]}-seed3"
    assert result["notes"] == {"cycle_ends": [6]}
    assert result["peak_memory_bytes"] > 1_000_000
    assert read_config(tmp_path / "run") == {"method": "ieg", "seed": 3}
    first = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0]
    assert first == '{"a": 0.3333333333333333, "b": 0.2, "epoch": 1.0, "step": 2}'
    assert not is_running(tmp_path / "run")


def test_a_resumed_run_leaves_the_same_metrics(tmp_path: Path) -> None:
    whole_run(tmp_path / "whole")
    record = make(tmp_path / "cut")
    record.begin()
    for step in (2, 4):
        record.log(step, step / 2, {"b": step / 10, "a": 1 / 3})
    with open(tmp_path / "cut" / "metrics.jsonl", "a") as file:
        file.write('{"step": 6, "epo')  # killed while it wrote
    assert read_result(tmp_path / "cut")["finished"] is False
    assert [line["step"] for line in read_metrics(tmp_path / "cut")] == [2, 4]
    record = make(tmp_path / "cut")  # the last checkpoint was that of step 2
    record.begin(resume_step=2)
    for step in (4, 6):
        record.log(step, step / 2, {"b": step / 10, "a": 1 / 3})
    record.finish({"accuracy": 0.6}, 6, {})
    assert (tmp_path / "cut" / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()


def test_from_scratch_nothing_is_kept(tmp_path: Path) -> None:
    record = make(tmp_path)
    record.begin()
    record.log(0, 0, {"a": 1})
    make(tmp_path).begin()
    assert read_metrics(tmp_path) == []


def test_time_memory_and_earlier_commits_are_carried_over(tmp_path: Path) -> None:
    record = make(tmp_path)
    record.begin()
    record.interrupted()
    path = tmp_path / "result.json"
    result = json.loads(path.read_text())
    assert result["finished"] is False
    result.update(wall_seconds=1000.0, peak_memory_bytes=10**12, git={"commit": "a" * 40, "dirty": False})
    path.write_text(json.dumps(result))
    record = make(tmp_path)
    record.begin(5)
    record.finish({"accuracy": 0.1}, 9, {})
    result = read_result(tmp_path)
    assert 1000 <= result["wall_seconds"] < 1100
    assert result["peak_memory_bytes"] == 10**12
    assert result["notes"]["earlier_commits"] == [{"commit": "a" * 40, "dirty": False}]


def test_another_configuration_is_refused_and_named(tmp_path: Path) -> None:
    make(tmp_path, lr=0.1, only_there=1).begin()
    with pytest.raises(RecordError) as error:
        make(tmp_path, lr=0.2, only_here=2).begin()
    assert "lr: 0.1 there, 0.2 here" in str(error.value)
    assert "only_here: 'absent' there, 2 here" in str(error.value)
    assert read_config(tmp_path)["lr"] == 0.1


def test_what_a_killed_writer_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".result.json.123.tmp").write_text("{")
    make(tmp_path).begin()
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize(
    ("step", "values", "message"),
    [
        (3, {"loss/net": float("nan")}, "loss/net = nan at step 3"),
        (3, {"loss/net": float("inf")}, "finite"),
        (2, {"a": 1.0}, "step 2 after those of step 2"),
        (3, {"epoch": 1.0}, "'epoch'"),
    ],
)
def test_bad_metrics_are_refused_and_not_written(
    tmp_path: Path, step: int, values: dict[str, float], message: str
) -> None:
    record = make(tmp_path)
    record.begin()
    record.log(2, 1, {"a": 1.0})
    with pytest.raises(RecordError, match=message):
        record.log(step, 1, values)
    assert len(read_metrics(tmp_path)) == 1


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nnonsense\n{"step": 3}\n')
    with pytest.raises(RecordError, match=r"metrics.jsonl, line 2: 'nonsense'"):
        read_metrics(tmp_path)


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.common.records.test_record import make\n"
        "record = make(Path(sys.argv[1])); record.begin(); print('begun', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        assert is_running(tmp_path)
        with pytest.raises(RecordError, match="another process is writing"):
            make(tmp_path).begin()
        process.kill()
    assert not is_running(tmp_path)
    make(tmp_path).begin()


def test_the_lock_of_the_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert provenance.environment_lock() is None
    (tmp_path / "lock.sha256").write_text("ab" * 32 + "\n")
    make(tmp_path / "run").begin()
    assert read_result(tmp_path / "run")["environment_lock"] == "ab" * 32
    make(tmp_path / "other", environment="cd" * 32).begin()
    assert read_result(tmp_path / "other")["environment_lock"] == "cd" * 32
