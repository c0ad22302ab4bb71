"""What lies in a run's folder and is not this run's, or is not as it was written, is never gone on from silently."""

import copy
import json
import shutil

import numpy as np
import pytest

from common.errors import UsageError
from common.records.saved_state import MARK
from ieg.checkpoints import checkpoint
from ieg.checkpoints.checkpoint import Checkpoint
from ieg.main import main
from tests.programs import result_of

RUN = [
    "--dataset=digits_uniform_0.8", "--image_size=8", "--network_name=wrn10-1", "--batch_size=64", "--eval_freq=2",
    "--max_iteration=3", "--method=supervised",
]  # fmt: skip


def train(base, capfd, code=0, more=()):
    """What the program warns of, and its error."""
    capfd.readouterr()
    assert main([*RUN, *more, f"--checkpoint_path={base}"]) == code
    err = capfd.readouterr().err
    assert "Traceback" not in err
    # TensorFlow counts the traces of every run in this process together, and warns after some.
    told = [line for line in err.splitlines() if "tf.function retracing" not in line]
    return [line for line in told if line.startswith(("WARNING: ", "error: "))]


def refusal(base, capfd, more=()):
    """The one sentence of a run that is refused; nothing of its folder is changed."""
    (folder,) = base.iterdir()
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    *_, line = train(base, capfd, 2, more)
    assert line.startswith("error: ")
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    return line


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run with two seeds."""
    folders = []
    for seed in (12345, 1):
        base = tmp_path_factory.mktemp("base")
        assert main([*RUN, f"--seed={seed}", f"--checkpoint_path={base}"]) == 0
        folders += base.iterdir()
    return folders


@pytest.fixture
def folder(runs, tmp_path):
    """The run of seed 12345 with its checkpoints of steps 2 and 3, as if it had been killed right after."""
    folder = tmp_path / "runs" / runs[0].name
    shutil.copytree(runs[0], folder)
    (folder / "result.json").unlink()
    return folder


def test_its_own_checkpoint_says_so_and_is_gone_on_from(folder, runs, capfd):
    result = result_of(runs[0])
    assert checkpoint.load(folder / "checkpoint_00000002.npz").meta[MARK] == {
        "run_id": result["run_id"],
        "config_hash": result["config_hash"],
        "data": result["dataset"]["fingerprint"],
        "step": 2,
    }
    assert not train(folder.parent, capfd)
    assert result_of(folder)["metrics"] == result["metrics"]


def test_an_earlier_step_of_the_same_run_is_gone_back_to(folder, capfd):
    assert not train(folder.parent, capfd, more=["--restore_step=2"])
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert result_of(folder)["finished"]


@pytest.mark.parametrize("more", [[], ["--mode=evaluation"], ["--restore_step=3"]])
def test_the_checkpoint_of_another_seed_is_refused(folder, runs, capfd, more):
    path = folder / "checkpoint_00000003.npz"
    shutil.copy(runs[1] / path.name, path)
    line = refusal(folder.parent, capfd, more)
    assert str(path) in line and result_of(runs[1])["run_id"] in line and "move that file away" in line


def rewritten(path, change):
    """The checkpoint with other arrays and facts; its file is whole."""
    content = checkpoint.load(path)
    arrays, meta = dict(content.arrays), copy.deepcopy(dict(content.meta))
    change(arrays, meta)
    checkpoint.save(path.parent, Checkpoint(content.step, arrays, meta))


def test_the_checkpoint_of_a_run_on_other_data_is_refused_but_scored(folder, capfd):
    """Scores on other images are wanted; training on them would be another run."""
    rewritten(folder / "checkpoint_00000003.npz", lambda _, meta: meta[MARK].update(data="0123456789abcdef"))
    line = refusal(folder.parent, capfd)
    assert "checkpoint_00000003.npz" in line and "other data" in line and "0123456789ab" in line
    assert not train(folder.parent, capfd, more=["--mode=evaluation"])


def test_one_of_an_earlier_version_is_gone_on_from_with_one_warning(folder, runs, capfd):
    rewritten(folder / "checkpoint_00000003.npz", lambda _, meta: meta.pop(MARK))
    (warning,) = train(folder.parent, capfd)
    assert "does not say which run it belongs to" in warning
    assert result_of(folder)["metrics"] == result_of(runs[0])["metrics"]


def test_the_result_of_another_run_is_not_called_this_runs(folder, runs, capfd):
    shutil.copy(runs[1] / "result.json", folder)
    line = refusal(folder.parent, capfd)
    assert str(folder / "result.json") in line and result_of(runs[1])["run_id"] in line


def test_a_finished_run_without_accuracy_is_one_sentence(folder, runs, capfd):
    result = result_of(runs[0])
    del result["metrics"]["accuracy"]
    (folder / "result.json").write_text(json.dumps(result))
    line = refusal(folder.parent, capfd)
    assert str(folder / "result.json") in line and "holds no accuracy" in line


def test_checkpoints_that_are_gone_are_missed(folder, capfd):
    for path in folder.glob("checkpoint_*"):
        path.unlink()
    (warning,) = train(folder.parent, capfd)
    assert str(folder / "metrics.jsonl") in warning and "no checkpoint to resume from" in warning


def test_a_curve_that_is_gone_is_missed(folder, capfd):
    (folder / "metrics.jsonl").unlink()
    (warning,) = train(folder.parent, capfd)
    assert "up to step 3" in warning and "hole" in warning


@pytest.mark.parametrize("name", ["checkpoint_00000099.npz", "example_weights.npz", "metrics.jsonl"])
def test_a_folder_where_a_file_should_be_is_found_at_the_start(folder, name, capfd):
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    line = refusal(folder.parent, capfd)
    assert str(folder / name) in line and "move it away" in line


def test_a_file_where_a_folder_should_be_is_found_at_the_start(folder, capfd):
    shutil.rmtree(folder / "tensorboard")
    (folder / "tensorboard").write_text("")
    assert "tensorboard is a file where the run writes a folder" in refusal(folder.parent, capfd)


@pytest.mark.parametrize("name", ["config.yml", "metrics.jsonl", "result.json"])
def test_a_damaged_record_is_named(folder, name, capfd):
    (folder / name).write_bytes(b"\xff\xfe\n")
    assert str(folder / name) in refusal(folder.parent, capfd)


# What numpy can read and is no state of the run

KERNEL = "parameters:classifier/kernel"


def without(*names):
    return lambda arrays, _: [arrays.pop(name) for name in names]


def array(name, value):
    return lambda arrays, _: arrays.update({name: value})


def fact(value, *path):
    def change(_, meta):
        for key in path[:-1]:
            meta = meta[key]
        meta[path[-1]] = value

    return change


DAMAGES = {
    "a weight missing": without(KERNEL),
    "no weights of examples": without("example_weights"),
    "a weight of another shape": array(KERNEL, np.zeros((2, 2), np.float32)),
    "a weight of another type": array(KERNEL, np.zeros((64, 10), np.complex64)),
    "a weight that is a text": array(KERNEL, np.full((64, 10), "x")),
    "weights of fewer examples": array("example_weights", np.zeros(3, np.float32)),
    "no tally": lambda _, meta: meta.pop("tally"),
    "no scores": lambda _, meta: meta.pop("scores"),
    "a list of tallies": fact([1, 2], "tally"),
    "a tally that is a word": fact({"loss/net": ["a", 1]}, "tally"),
    "a tally of three": fact({"loss/net": [1, 2, 3]}, "tally"),
    "a list of scores": fact([1, 2], "scores"),
    "no score of the last cycle": lambda _, meta: meta["scores"].pop("end"),
    "a score without a step": lambda _, meta: meta["scores"]["last"].pop("step"),
    "a score that is a word": fact("much", "scores", "best", "accuracy"),
    "a score that is none": fact(None, "scores", "best"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_what_is_no_state_of_the_run_is_one_sentence(folder, damage, capfd):
    path = folder / "checkpoint_00000003.npz"
    rewritten(path, damage)
    line = refusal(folder.parent, capfd)
    assert str(path) in line and "does not hold the state of this run" in line and "move it away" in line
    assert len(line) < 600


def small(step):
    return Checkpoint(step, {"weight": np.arange(12, dtype=np.float32).reshape(3, 4)}, {"tally": {}, "scores": {}})


@pytest.mark.parametrize("meta", [b"[]", b"7", b"{", b"\xff", b"[" * 100_000, None])
def test_facts_that_are_damaged_give_way_to_the_checkpoint_before(tmp_path, meta, caplog):
    checkpoint.save(tmp_path, small(1))
    facts = {} if meta is None else {checkpoint.META: np.frombuffer(meta, np.uint8)}
    np.savez(tmp_path / "checkpoint_00000002.npz", **small(2).arrays, **facts)
    found = checkpoint.newest(tmp_path)
    assert found is not None and found.step == 1
    assert "checkpoint_00000002.npz is damaged" in caplog.text


def test_every_bit_of_a_header_is_read_right_or_passed_over(tmp_path, caplog):
    """The headers of the zip file and of the arrays: whatever zipfile, zlib and numpy raise."""
    path = tmp_path / "checkpoint_00000002.npz"
    checkpoint.save(tmp_path, small(1))
    checkpoint.save(tmp_path, small(2))
    whole = path.read_bytes()
    data = whole.index(np.arange(12, dtype=np.float32).tobytes())
    for place in [*range(data), *range(len(whole) - 22, len(whole))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        found = checkpoint.newest(tmp_path)
        assert found is not None and found.step in (1, 2)
        if found.step == 2:
            assert found.arrays["weight"].tobytes() == small(2).arrays["weight"].tobytes()
            assert found.arrays["weight"].shape == (3, 4)
    assert "checkpoint_00000002.npz is damaged" in caplog.text


def test_all_of_them_damaged_is_one_sentence(tmp_path):
    (tmp_path / "checkpoint_00000002.npz").write_bytes(b"")
    with pytest.raises(UsageError, match=r"no checkpoint in .* can be read"):
        checkpoint.newest(tmp_path)


@pytest.mark.parametrize("flag", ["checkpoint_path", "dataset_dir", "pretrained_ckpt"])
def test_the_home_of_nobody(flag, capfd):
    data = ["--dataset=cifar10", "--image_size=32"] if flag == "dataset_dir" else []
    assert main([*RUN, *data, f"--{flag}=~nobody-of-this-name/x", "--check"]) == 2
    assert "no home folder for ~nobody-of-this-name" in capfd.readouterr().err
