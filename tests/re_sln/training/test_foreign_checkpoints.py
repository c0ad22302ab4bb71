"""What lies in a run's folder and is not this run's, or is not as it was written, is never gone on from silently."""

import copy
import json
import shutil

import pytest
import torch

from common.errors import RecordError, UsageError
from common.pytorch.process_group import Group
from common.records.saved_state import MARK
from re_sln import train_cifar, tune
from re_sln.search.search import parse_search, resolve_search
from re_sln.training import checkpoint, experiment, records
from tests.damages import put, without
from tests.programs import metrics_of, result_of
from tests.re_sln.small_runs import DIGITS, MODELS, config_of, small_data

RUN = [*DIGITS, *MODELS["sln-mo"], "--n_epochs=1", "--seed=5"]  # three steps


@pytest.fixture(autouse=True)
def _data(monkeypatch, base):
    monkeypatch.setenv("DATA_DIR", str(base / "data"))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("base")


@pytest.fixture(scope="module")
def runs(base):
    """The same run with two seeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_DIR", str(base / "data"))
        for seed in (5, 6):
            assert train_cifar.main([*RUN, f"--seed={seed}", f"--run_dir={base / str(seed)}"]) == 0
    return base / "5", base / "6"


@pytest.fixture
def unfinished(runs, tmp_path):
    """The run of seed 5 with its checkpoint of step 3, as if it had been killed right after."""
    folder = tmp_path / "run"
    shutil.copytree(runs[0], folder)
    (folder / "result.json").unlink()
    return folder


def refusal(capfd, folder):
    """The one sentence of a run that is refused; nothing of its record is changed."""
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    capfd.readouterr()
    assert train_cifar.main([*RUN, f"--run_dir={folder}"]) == 2
    err = capfd.readouterr().err
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    return line


def test_its_own_checkpoint_says_so_and_is_gone_on_from(unfinished, runs, capfd):
    mark = torch.load(unfinished / "checkpoint_00000003.pt", weights_only=True)[MARK]
    result = result_of(runs[0])
    assert mark == {
        "run_id": result["run_id"],
        "config_hash": result["config_hash"],
        "data": result["dataset"]["fingerprint"],
        "step": 3,
    }
    assert train_cifar.main([*RUN, f"--run_dir={unfinished}"]) == 0
    assert "WARNING" not in capfd.readouterr().err
    assert result_of(unfinished)["metrics"] == result["metrics"]


def test_the_checkpoint_of_another_seed_is_refused(unfinished, runs, capfd):
    path = unfinished / "checkpoint_00000004.pt"
    shutil.copy(runs[1] / "checkpoint_00000003.pt", path)
    line = refusal(capfd, unfinished)
    assert str(path) in line and result_of(runs[1])["run_id"] in line and "move that file away" in line
    path.rename(unfinished / "checkpoint_00000003.pt")
    assert result_of(runs[1])["run_id"] in refusal(capfd, unfinished)


def test_one_of_an_earlier_version_is_gone_on_from_with_one_warning(unfinished, runs, capfd):
    content = torch.load(unfinished / "checkpoint_00000003.pt", weights_only=True)
    del content[MARK]
    torch.save(content, unfinished / "checkpoint_00000003.pt")
    capfd.readouterr()
    assert train_cifar.main([*RUN, f"--run_dir={unfinished}"]) == 0
    warnings = [line for line in capfd.readouterr().err.splitlines() if "WARNING" in line]
    assert len(warnings) == 1 and "does not say which run it belongs to" in warnings[0]
    assert result_of(unfinished)["metrics"] == result_of(runs[0])["metrics"]


def test_the_result_of_another_run_is_not_called_this_runs(unfinished, runs, capfd):
    shutil.copy(runs[1] / "result.json", unfinished)
    line = refusal(capfd, unfinished)
    assert str(unfinished / "result.json") in line and result_of(runs[1])["run_id"] in line


def test_checkpoints_that_are_gone_are_missed(unfinished, capfd):
    (unfinished / "checkpoint_00000003.pt").unlink()
    assert train_cifar.main([*RUN, f"--run_dir={unfinished}"]) == 0
    (warning,) = [line for line in capfd.readouterr().err.splitlines() if "WARNING" in line]
    assert (
        str(unfinished / "metrics.jsonl") in warning and "no checkpoint" in warning and "from the beginning" in warning
    )
    assert [line["step"] for line in metrics_of(unfinished)] == [3]


def test_a_curve_that_is_gone_is_missed(unfinished, capfd):
    (unfinished / "metrics.jsonl").unlink()
    assert train_cifar.main([*RUN, f"--run_dir={unfinished}"]) == 0
    (warning,) = [line for line in capfd.readouterr().err.splitlines() if "WARNING" in line]
    assert "up to step 3" in warning and "hole" in warning


@pytest.mark.parametrize("name", ["checkpoint_00000099.pt", "model.pth", "run.lock"])
def test_a_folder_where_a_file_should_be_is_found_at_the_start(runs, unfinished, name, capfd):
    (unfinished / name).unlink(missing_ok=True)
    (unfinished / name).mkdir()
    line = refusal(capfd, unfinished)
    assert str(unfinished / name) in line and "move it away" in line and "Errno" not in line


def test_a_folder_called_like_a_temporary_file_is_left_alone(unfinished):
    (unfinished / ".x.tmp").mkdir()
    assert train_cifar.main([*RUN, f"--run_dir={unfinished}"]) == 0
    assert (unfinished / ".x.tmp").is_dir()


@pytest.mark.parametrize("name", ["config.yml", "metrics.jsonl", "result.json"])
def test_a_damaged_record_is_named(unfinished, name, capfd):
    (unfinished / name).write_bytes(b"\xff\xfe\n")
    assert str(unfinished / name) in refusal(capfd, unfinished)


# What torch can read and is no state of the run


@pytest.fixture(scope="module")
def trained():
    """A trainer after its first epoch and one step, and what it would save."""
    config = config_of(sigma=0.5, mo=True, lc_n_epoch=2, n_epochs=3, batch_size=32)
    data = small_data()
    trainer = experiment.build(config, data, Group(0, 1, torch.device("cpu")))
    for _ in trainer.epoch_steps():
        pass
    trainer.end_epoch()
    next(iter(trainer.epoch_steps()))
    return trainer, trainer.content() | {"logged": 3}


DAMAGES = {
    **{f"no {key}": without(key) for key in (
        "epoch", "batch", "step", "scores", "tally", "targets", "model", "average", "optimiser", "logged")},
    **{f"{key} is {value!r:.9}": put(value, key)
       for key in ("epoch", "batch", "step", "logged") for value in ("abc", 10**30, -1, None, True, 2.0, [1])},
    **{f"{key} is {type(value).__name__}": put(value, key)
       for key in ("model", "average", "optimiser", "scores", "tally") for value in ([1, 2], None, 7, {1: 2}, "x")},
    "no last score": without("scores", "last"),
    "a score without accuracy": without("scores", "best", "accuracy"),
    "a score that is a word": put("much", "scores", "best", "accuracy"),
    "a weight missing": without("model", "linear.weight"),
    "a weight of another shape": put(torch.zeros(2), "model", "linear.weight"),
    "a weight that is a word": put("w", "average", "linear.weight"),
    "targets of another shape": put(torch.zeros(3), "targets"),
    "a tally that would be spread out": put(torch.zeros(1, dtype=torch.float64), "tally"),
    "no momentum": put({}, "optimiser", "state"),
    "a momentum of another shape": put(torch.zeros(1), "optimiser", "state", 0, "momentum_buffer"),
    "a momentum that is a word": put("x", "optimiser", "param_groups", 0, "momentum"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_what_is_no_state_of_the_run_is_one_sentence(trained, damage, tmp_path):
    trainer, content = trained
    content = copy.deepcopy(content)
    checkpoint.save(tmp_path, 4, content)
    owner = records.owner_of(trainer.config, trainer.data)
    assert experiment.go_on(trainer, tmp_path, owner) == 3
    damage(content)
    checkpoint.save(tmp_path, 4, content)
    with pytest.raises(UsageError) as caught:
        experiment.go_on(trainer, tmp_path, owner)
    message = str(caught.value)
    assert str(tmp_path / "checkpoint_00000004.pt") in message and "move it away" in message
    assert "\n" not in message and len(message) < 500


@pytest.mark.parametrize("content", [[1, 2], None, torch.zeros(3), "x"])
def test_what_is_no_mapping_gives_way_to_the_one_before(content, tmp_path, caplog):
    checkpoint.save(tmp_path, 1, {"step": 1})
    torch.save(content, tmp_path / "checkpoint_00000002.pt")
    found = checkpoint.newest(tmp_path)
    assert found is not None and found[1]["step"] == 1
    assert "no checkpoint" in caplog.text


def test_every_bit_of_a_headers_beginning_is_read_right_or_passed_over(tmp_path, caplog):
    """Whatever zipfile, zlib, pickle or torch raise; the content of a file that is read is what was written."""
    path = tmp_path / "checkpoint_00000002.pt"
    checkpoint.save(tmp_path, 1, {"step": 1, "weight": torch.arange(3.0)})
    checkpoint.save(tmp_path, 2, {"step": 2, "weight": torch.arange(3.0)})
    whole = path.read_bytes()
    directory = whole.rindex(b"PK\x05\x06")
    first = int.from_bytes(whole[directory + 16 : directory + 20], "little")
    places = [*range(0, 46), *range(first, first + 46), *range(directory, directory + 22)]
    for place in places:
        bit = 1 << place % 8
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        found = checkpoint.newest(tmp_path)
        assert found is not None and found[1]["step"] in (1, 2) and torch.equal(found[1]["weight"], torch.arange(3.0))
    assert "checkpoint_00000002.pt cannot be read" in caplog.text


# Searches


def test_a_trials_result_that_is_another_runs_is_refused(runs, tmp_path):
    search = resolve_search(
        parse_search(["--dataset_name=digits", "--sigmas=0.5", f"--run_dir={tmp_path}", "--network=wrn-10-1"])
    )
    folder = search.trial_folder("0.5")
    assert search.result("0.5") is None
    shutil.copytree(runs[0], folder)
    with pytest.raises(RecordError, match=r"another configuration"):
        search.result("0.5")
    (folder / "config.yml").unlink()
    (folder / "result.json").write_text(json.dumps({}))
    with pytest.raises(RecordError, match=r"result\.json"):
        search.result("0.5")


def test_a_search_has_a_place_for_its_table(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("common.ray_cluster.ray_started", lambda *_: pytest.fail("trials were started"))
    (tmp_path / "search" / "sigma_search.csv").mkdir(parents=True)
    assert tune.main([*DIGITS, "--n_epochs=1", "--sigmas=0.5", f"--run_dir={tmp_path / 'search'}"]) == 2
    assert "sigma_search.csv is a folder where the run writes a file" in capfd.readouterr().err
