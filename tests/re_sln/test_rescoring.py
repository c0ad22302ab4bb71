"""--evaluate: a finished run is scored again, from its weights."""

import json

import pytest

from re_sln.train_cifar import main
from tests.programs import result_of
from tests.re_sln.small_runs import DIGITS, MODELS


@pytest.mark.parametrize("model", ["ce", "sln-mo"])
def test_a_finished_run_scores_what_its_record_says(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    words = [*DIGITS, *MODELS[model], "--n_epochs=2", f"--run_dir={tmp_path / 'run'}"]
    assert main(words) == 0
    capsys.readouterr()
    result = result_of(tmp_path / "run")
    assert main(["--evaluate", words[-1]]) == 0
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


def test_noise_that_only_a_network_could_make_again_must_be_here(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    words = [*DIGITS, "--noise_mode=dependent", "--dependent_epochs=1", "--n_epochs=1", f"--run_dir={tmp_path / 'run'}"]
    assert main(words) == 0
    assert main([*words, "--evaluate"]) == 0
    capsys.readouterr()
    for path in (tmp_path / "data" / "label_noisy" / "digits").iterdir():
        path.unlink()
    assert main([*words, "--evaluate"]) == 2
    assert "the noise file of the run is not here; say with --data_dir where it is" in capsys.readouterr().err
    assert not list((tmp_path / "data" / "label_noisy" / "digits").iterdir())
