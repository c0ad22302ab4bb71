import json
import sys
from pathlib import Path

import pytest

from benchmarks import commands

PYTHON = Path(sys.executable)


def test_children_are_counted_and_what_failed_is_shown():
    burn = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}], check=True)"
    wall, cpu, _ = commands.timed(PYTHON, ["-c", child], {})
    assert wall > 0.3
    assert 0.3 < cpu < 2
    with pytest.raises(RuntimeError, match=r"ended with 3:\nno such luck"):
        commands.timed(PYTHON, ["-c", "import sys; print('no such luck', file=sys.stderr); sys.exit(3)"], {})


def test_the_setting_reaches_the_command_and_its_runs_are_removed():
    code = "import os, pathlib; assert os.environ['A'] == 'b'; print(os.environ['RUNS_DIR'])"
    *_, printed = commands.timed(PYTHON, ["-c", code], {"A": "b"})
    assert not Path(printed.strip()).exists()


def test_a_table_that_was_printed_is_kept(tmp_path, monkeypatch):
    place = tmp_path / ".venv" / "here" / "bin" / "python"
    place.parent.mkdir(parents=True)
    place.symlink_to(sys.executable)
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    row = commands.measured("x", "here", ["-c", "print('said'); print('| IEG | 83.1 |')"], 2, {})
    assert row is not None
    assert row["table"] == ["| IEG | 83.1 |"]
    assert row["cpu_seconds"] < 5


def test_an_environment_that_is_not_built_is_left_out(capsys):
    assert commands.measured("x", "nowhere", [], 1, {}) is None
    assert "x: left out, .venv/nowhere is not built" in capsys.readouterr().err


def test_wrong_flags(capsys):
    with pytest.raises(SystemExit) as stop:
        commands.main(["--turns=0"])
    assert stop.value.code == 2
    assert "--turns=0" in capsys.readouterr().err


def test_a_record(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "measured", lambda name, *_: {"name": name, "wall_seconds": 1.0, "cpu_seconds": 2.0})
    out = tmp_path / "commands.json"
    assert commands.main([f"--out={out}"]) == 0
    record = json.loads(out.read_text())
    assert record["command"] == f"python -m benchmarks.commands --out={out}"
    assert [row["name"] for row in record["commands"]] == list(commands.COMMANDS)
    assert "instructions" in record["machine"]
