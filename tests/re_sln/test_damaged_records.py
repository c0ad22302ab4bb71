"""Records that are damaged, as the programs of re_sln read them: --resume, --evaluate, the tables of results."""

import json
import shutil

import pytest

from re_sln import results, train_cifar
from re_sln.tables.run_logs import read_logs
from tests.re_sln.small_runs import DIGITS, MODELS


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    base = tmp_path_factory.mktemp("base")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_DIR", str(base / "data"))
        assert train_cifar.main([*DIGITS, *MODELS["ce"], "--n_epochs=1", f"--run_dir={base / 'runs' / 'run'}"]) == 0
    return base / "runs"


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(finished.parent / "data"))
    shutil.copytree(finished, tmp_path / "runs")
    return tmp_path / "runs" / "run"


def changed(key, value):
    """The text of config.yml with another value."""
    return lambda text: "\n".join(
        f"{key}: {json.dumps(value)}" if line.startswith(f"{key}: ") else line for line in text.splitlines()
    )


CONFIGS = {
    "a rate that is a word": changed("p", "much"),
    "a number of epochs that is a list": changed("n_epochs", [1]),
    "a switch that is a number": changed("mo", 3),
    "a network that is none": changed("network", None),
    "a whole number with a point": changed("batch_size", 64.5),
    "another program": changed("program", "train_others"),
    "a program that is a list": changed("program", [1]),
    "no colon": lambda text: "seed\n",
    "not UTF-8": lambda text: None,
    "nested deeply": lambda text: "p: " + "[" * 100_000,
}


@pytest.mark.parametrize("damage", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("way", ["resume", "evaluate"])
def test_a_damaged_configuration_is_one_sentence(run, damage, way, capfd):
    path = run / "config.yml"
    text = damage(path.read_text())
    path.write_bytes(b"\xff\xfe" if text is None else text.encode())
    arguments = [f"--resume={run}"] if way == "resume" else ["--dataset_name=digits", "--evaluate", f"--run_dir={run}"]
    assert train_cifar.main(arguments) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert str(run) in line and len(line) < 700


@pytest.mark.parametrize("name", ["config.yml", "metrics.jsonl", "result.json"])
@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"[]\n", b"seed: 1\n"])
def test_results_leave_a_damaged_run_out_and_say_why(run, name, content):
    (run / name).write_bytes(content)
    logs = read_logs(run.parent, None)
    assert not logs.runs
    (sentence,) = logs.left_out
    assert sentence.startswith("run: ")


def test_the_tables_are_made_all_the_same(run, tmp_path, capfd):
    (run / "config.yml").write_bytes(b"\xff")
    assert results.main([f"--logdir={run.parent}", f"--out={tmp_path / 'out'}"]) in (0, 1, 2)
    assert "Traceback" not in capfd.readouterr().err
