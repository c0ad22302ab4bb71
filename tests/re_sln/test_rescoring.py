"""--evaluate: a finished run is scored again, from its weights."""

import json

import pytest

from re_sln.train_cifar import main
from tests.re_sln.small_runs import DIGITS, MODELS, result_of


@pytest.mark.parametrize("model", ["ce", "sln-mo"])
def test_a_finished_run_scores_what_its_record_says(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    words = [*DIGITS, *MODELS[model], "--n_epochs=2", f"--run_dir={tmp_path / 'run'}"]
    assert main(words) == 0
    capsys.readouterr()
    result = result_of(tmp_path / "run")
    assert main([*words, "--evaluate"]) == 0
    scored = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert scored["metrics"] == {"accuracy": result["metrics"]["accuracy"]}
    assert scored["step"] == result["metrics_step"]
    assert scored["dataset"] == result["dataset"]
    assert result_of(tmp_path / "run") == result


def test_it_needs_a_finished_run(tmp_path, capsys):
    assert main([*DIGITS, "--evaluate"]) == 2
    assert "name its folder with --run_dir" in capsys.readouterr().err
    assert main([*DIGITS, "--evaluate", f"--run_dir={tmp_path}"]) == 2
    assert "error: " in capsys.readouterr().err
