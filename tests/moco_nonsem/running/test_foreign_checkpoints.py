"""What lies in a run's folder and is not this run's, or is not as it was written, is never gone on from silently."""

import copy
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from common.errors import UsageError
from common.pytorch.process_group import Group
from common.pytorch.torch_files import read_tensors, write_tensors
from common.records.saved_state import MARK
from moco_nonsem import eval_robustness, main_lincls, similarity_curves
from moco_nonsem.images.image_tree import read_tree
from moco_nonsem.images.workers import Reading
from moco_nonsem.linear_probe.network import LinearNetwork
from moco_nonsem.linear_probe.trainer import LinearTrainer
from moco_nonsem.pretraining import program as pretrain_program
from moco_nonsem.pretraining.config import resolve
from moco_nonsem.pretraining.trainer import Trainer
from moco_nonsem.running import checkpoint
from moco_nonsem.running.flags import LinearFlags, PretrainFlags
from moco_nonsem.running.run_folder import Start
from tests.damages import put, without
from tests.moco_nonsem.small_runs import LINEAR, SMALL, make_tree
from tests.programs import metrics_of, result_of

RUN = [*SMALL, "--epochs=1"]  # three steps
CLASSIFIER = [*LINEAR, "--epochs=1"]  # four steps


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("base")


@pytest.fixture(scope="module")
def encoders(base, tree):
    """The same pre-training with two seeds."""
    for seed in (0, 1):
        assert pretrain_program.main([*RUN, f"--seed={seed}", f"--run_dir={base / f'moco{seed}'}", str(tree)]) == 0
    return base / "moco0", base / "moco1"


@pytest.fixture(scope="module")
def classifiers(base, encoders, tree):
    """The same linear evaluation with two seeds."""
    given = f"--pretrained={encoders[0] / 'checkpoint_0000.pth.tar'}"
    for seed in (0, 1):
        command = [*CLASSIFIER, given, f"--seed={seed}", f"--run_dir={base / f'linear{seed}'}", str(tree)]
        assert main_lincls.main(command) == 0
    return base / "linear0", base / "linear1"


class Program:
    """One of the two programs with a folder of its own: seed 0, as if it had been killed after its last state."""

    def __init__(self, main, arguments, mine, other, step, folder):
        self.main, self.arguments, self.mine, self.other, self.folder = main, arguments, mine, other, folder
        shutil.copytree(mine, folder)
        (folder / "result.json").unlink()
        self.state = folder / f"state_{step:08d}.pth.tar"

    def run(self, capfd, code=0, more=()):
        capfd.readouterr()
        assert self.main([*self.arguments, f"--run_dir={self.folder}", *more]) == code
        err = capfd.readouterr().err
        assert "Traceback" not in err
        return [line for line in err.splitlines() if "WARNING" in line or line.startswith("error: ")]

    def refusal(self, capfd, more=()):
        """The one sentence of a run that is refused; nothing of its folder is changed."""
        before = {path: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}
        *_, line = self.run(capfd, 2, more)
        assert line.startswith("error: ")
        assert {path: path.read_bytes() for path in self.folder.iterdir() if path.is_file()} == before
        return line


@pytest.fixture(params=["pre-training", "linear evaluation"])
def program(request, tree, tmp_path):
    if request.param == "pre-training":
        mine, other = request.getfixturevalue("encoders")
        return Program(pretrain_program.main, [*RUN, str(tree)], mine, other, 3, tmp_path / "run")
    given = f"--pretrained={request.getfixturevalue('encoders')[0] / 'checkpoint_0000.pth.tar'}"
    mine, other = request.getfixturevalue("classifiers")
    return Program(main_lincls.main, [*CLASSIFIER, given, str(tree)], mine, other, 4, tmp_path / "run")


def test_its_own_state_says_so_and_is_gone_on_from(program, capfd):
    result = result_of(program.mine)
    assert read_tensors(program.state)[MARK] == {
        "run_id": result["run_id"],
        "config_hash": result["config_hash"],
        "data": result["dataset"]["fingerprint"],
        "step": result["metrics_step"],
    }
    assert not program.run(capfd)
    assert result_of(program.folder)["metrics"] == result["metrics"]


def test_the_checkpoints_of_the_authors_names_say_so_too(encoders, classifiers):
    for path in (encoders[0] / "checkpoint_0000.pth.tar", classifiers[0] / "checkpoint_robust_0000.pth.tar"):
        assert read_tensors(path)[MARK]["run_id"] == result_of(path.parent)["run_id"]


def test_the_state_of_another_seed_is_refused(program, capfd):
    shutil.copy(program.other / program.state.name, program.state)
    line = program.refusal(capfd)
    assert str(program.state) in line and result_of(program.other)["run_id"] in line and "move that file away" in line
    # Named, it would go on in this folder all the same.
    assert result_of(program.other)["run_id"] in program.refusal(capfd, [f"--resume={program.state}"])


def test_the_state_of_a_run_on_other_images_is_refused(program, tmp_path, capfd):
    """The same flags, another tree: what the flags alone do not tell."""
    other = make_tree(tmp_path / "other", train=10)
    program.arguments[-1] = str(other)
    line = program.refusal(capfd)
    assert str(program.state) in line and "other data" in line


def test_one_of_an_earlier_version_is_gone_on_from_with_one_warning(program, capfd):
    content = read_tensors(program.state)
    del content[MARK]
    write_tensors(program.state, content)
    (warning,) = program.run(capfd)
    assert "does not say which run it belongs to" in warning
    assert result_of(program.folder)["metrics"] == result_of(program.mine)["metrics"]


def test_a_finished_run_of_other_settings_is_not_called_this_one(program, capfd):
    shutil.copy(program.mine / "result.json", program.folder)
    assert "another configuration (lr: 0.05 there, 0.25 here)" in program.refusal(capfd, ["--lr=0.25"])
    shutil.copy(program.other / "result.json", program.folder)
    line = program.refusal(capfd)
    assert "result.json belongs to another run" in line and result_of(program.other)["run_id"] in line


def test_a_finished_classifier_outlives_its_encoder(classifiers, encoders, tree, tmp_path, capfd):
    shutil.copytree(classifiers[0], tmp_path / "run")
    command = [*CLASSIFIER, f"--pretrained={tmp_path / 'gone.pth.tar'}", f"--run_dir={tmp_path / 'run'}", str(tree)]
    assert main_lincls.main(command) == 0
    assert "is finished" in capfd.readouterr().err


def test_states_that_are_gone_are_missed(program, capfd):
    program.state.unlink()
    warnings = program.run(capfd)
    assert [line for line in warnings if "no checkpoint to resume from" in line and "metrics.jsonl" in line]
    assert len(metrics_of(program.folder)) == 1


def test_a_curve_that_is_gone_is_missed(program, capfd):
    (program.folder / "metrics.jsonl").unlink()
    (warning,) = program.run(capfd)
    assert "hole" in warning


def test_a_folder_where_a_file_should_be_is_found_at_the_start(program, capfd):
    for name in ("state_00000099.pth.tar", "metrics.jsonl"):
        path = program.folder / name
        path.unlink(missing_ok=True)
        path.mkdir()
        line = program.refusal(capfd)
        assert str(path) in line and "move it away" in line
        path.rmdir()


def test_a_folder_in_the_place_of_a_checkpoint_is_found_at_the_start(encoders, tree, tmp_path, capfd):
    (tmp_path / "ckpts" / "checkpoint_0000.pth.tar").mkdir(parents=True)
    command = [*RUN, f"--run_dir={tmp_path / 'run'}", f"--ckpt_path={tmp_path / 'ckpts'}", str(tree)]
    assert pretrain_program.main(command) == 2
    assert "checkpoint_0000.pth.tar is a folder" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_file_of_another_run_may_be_gone_on_from_in_a_folder_of_its_own(encoders, tree, tmp_path, capfd):
    """As the authors' program does; the metrics begin where the new run does."""
    given = encoders[1] / "state_00000003.pth.tar"
    command = [*SMALL, "--epochs=2", "--lr=0.01", f"--resume={given}", f"--run_dir={tmp_path / 'run'}", str(tree)]
    assert pretrain_program.main(command) == 0
    assert "WARNING" not in capfd.readouterr().err
    assert [line["step"] for line in metrics_of(tmp_path / "run")] == [6]
    mark = read_tensors(tmp_path / "run" / "state_00000006.pth.tar")[MARK]
    assert mark["run_id"] == result_of(tmp_path / "run")["run_id"]


@pytest.mark.parametrize("name", ["config.yml", "metrics.jsonl", "result.json"])
def test_a_damaged_record_is_named(program, name, capfd):
    (program.folder / name).write_bytes(b"\xff\xfe\n")
    assert str(program.folder / name) in program.refusal(capfd)


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b'alpha: "x"\n', None])
def test_curves_of_a_damaged_record(encoders, tmp_path, content, capfd):
    run = tmp_path / "run"
    shutil.copytree(encoders[0], run)
    if content is None:
        (run / "metrics.jsonl").write_bytes(b'{"step": 3, "similarity/key": 0.5}\n')
    else:
        (run / "config.yml").write_bytes(content)
    assert similarity_curves.main([str(run)]) in (0, 2)
    assert "Traceback" not in capfd.readouterr().err


# What torch can read and is no state of the run


class Views:
    batches_per_epoch = 3

    def batches(self, epoch: int, start_batch: int) -> Iterator[Any]:
        raise NotImplementedError


@pytest.fixture(scope="module")
def contents(encoders, classifiers):
    return [
        read_tensors(encoders[0] / "state_00000003.pth.tar"),
        read_tensors(classifiers[0] / "state_00000004.pth.tar"),
    ]


@pytest.fixture(scope="module")
def trainers(tree):
    """By their kind, for three epochs, so that something is left to train."""
    small: dict[str, Any] = {"arch": "resnet10-small", "image_size": 16, "batch_size": 8, "epochs": 3}
    flags = PretrainFlags(data="x", moco_k=16, moco_dim=8, mlp=True, aug_plus=True, bn_splits=2, **small)
    group = Group(0, 1, torch.device("cpu"))
    reading = Reading(batch_size=8, workers=0, seed=0, group=group)
    train, val = read_tree(tree / "train"), read_tree(tree / "val")
    network = LinearNetwork("resnet10-small", 0)
    return [
        Trainer(resolve(flags), Views(), group),
        LinearTrainer(LinearFlags(data="x", **small), network, train, val, reading, group),
    ]


def weights_renamed(content):
    content["state_dict"] = {number: value for number, value in enumerate(content["state_dict"].values())}


DAMAGES = {
    **{f"no {key}": without(key) for key in ("state_dict", "optimizer")},
    **{f"no {key} in its position": without("position", key) for key in ("epoch", "batch", "step", "logged")},
    **{f"{key} {value!r:.5}": put(value, "position", key)
       for key in ("epoch", "batch", "step") for value in ("abc", 10**30, -1, None, True, 1.5)},
    **{f"{key} {value!r}": put(value, key)
       for key in ("state_dict", "optimizer", "position", "last_values", "tally") for value in ([1, 2], 7, {1: 2}, "x")
       if (key, value) != ("last_values", {1: 2})},
    "weights with numbers for names": weights_renamed,
    "no momentum": put({}, "optimizer", "state"),
    "an optimiser without groups": put([], "optimizer", "param_groups"),
    "a weight decay that is a word": put("x", "optimizer", "param_groups", 0, "weight_decay"),
    "a momentum of another shape": put(torch.zeros(1), "optimizer", "state", 0, "momentum_buffer"),
    "a tally that would be spread out": put(torch.zeros(1, dtype=torch.float64), "tally"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_what_is_no_state_of_the_run_is_one_sentence(trainers, contents, damage):
    for trainer, whole in zip(trainers, contents, strict=True):
        content = copy.deepcopy(whole)
        trainer.restore(content, "the-file")
        damage(content)
        with pytest.raises(UsageError) as caught:
            trainer.restore(content, "the-file")
        message = str(caught.value)
        assert "the-file" in message and "\n" not in message and len(message) < 500


@pytest.mark.parametrize("epoch, words", [
    ("abc", "its epoch is not a number of epochs"), (10**30, "epoch is 100"), (-1, "not a number"),
    (1, "leaves nothing to train"),
])  # fmt: skip
def test_resume_of_a_file_with_an_impossible_epoch(encoders, tree, tmp_path, epoch, words, capfd):
    """In the authors' layout, which has no other place; nothing is finished, nothing is left behind."""
    content = read_tensors(encoders[0] / "checkpoint_0000.pth.tar")
    for name in ("position", "last_values", "tally", MARK):
        del content[name]
    content["epoch"] = epoch
    write_tensors(tmp_path / "given.pth.tar", content)
    command = [*RUN, f"--resume={tmp_path / 'given.pth.tar'}", f"--run_dir={tmp_path / 'run'}", str(tree)]
    assert pretrain_program.main(command) == 2
    err = capfd.readouterr().err
    assert "given.pth.tar" in err and words in err and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_a_file_that_was_given_and_has_other_parts(tmp_path):
    cases = [
        ("state_dict", [1], "its state_dict is not tensors by their names"),
        ("state_dict", None, "its state_dict is not"),
        ("state_dict", {1: torch.ones(1)}, "its state_dict is not"),
        ("state_dict", {"module.encoder_q.conv1.weight": "x"}, "its state_dict is not"),
        ("optimizer", [1], "its optimizer is not the state of an optimiser"),
        ("classes", 7, "its classes is not a list of names"),
        ("position", [1], "its position is not a place in an epoch"),
    ]
    path = tmp_path / "given.pth.tar"
    for name, value, words in cases:
        write_tensors(path, {"state_dict": {"a": torch.ones(1)}, name: value})
        with pytest.raises(UsageError, match=words) as caught:
            checkpoint.read_given("--resume", str(path), "state_dict")
        assert str(path) in str(caught.value)


def test_another_network_is_told_in_a_short_sentence(encoders, tree, tmp_path, capfd):
    """Not by hundreds of names."""
    content = read_tensors(encoders[0] / "checkpoint_0000.pth.tar")
    content["state_dict"] = {f"module.base.{name}": value for name, value in content["state_dict"].items()}
    write_tensors(tmp_path / "given.pth.tar", content)
    command = [*SMALL, "--epochs=2", f"--resume={tmp_path / 'given.pth.tar'}", f"--run_dir={tmp_path / 'run'}"]
    assert pretrain_program.main([*command, str(tree)]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "does not fit this run" in line and len(line) < 600


def test_a_mistake_of_the_leader_is_raised_in_every_process(monkeypatch):
    """Otherwise the others would wait for it."""
    told: list[Any] = []
    group = Group(0, 2, torch.device("cpu"))

    def from_leader(self, value):
        told.append(value)
        return value

    monkeypatch.setattr(Group, "from_leader", from_leader)

    def work():
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input"):
        group.leader_does(work)
    assert isinstance(told[0][1], OSError)


def test_whether_a_state_is_saved_is_known_for_its_own_only():
    assert [Start({}, "", False).saved, Start(None, "", False).saved] == [False, False]
    assert Start({"epoch": 1}, "x", True).saved is True
    assert Start({"epoch": 1}, "x", False).saved is None


def test_scores_have_a_place_before_they_are_made(classifiers, tree, tmp_path, capfd, monkeypatch):
    """What is in the way is found before hours of scoring."""
    monkeypatch.setattr("moco_nonsem.robustness.run.Evaluation.columns", lambda self: pytest.fail("it was scored"))
    given = str(classifiers[0] / "checkpoint_robust_0000.pth.tar")
    flags = ["--arch=resnet10-small", "--image-size=16", "--workers=0", f"--val={tree / 'val'}"]
    (tmp_path / "run" / "robustness.md").mkdir(parents=True)
    assert eval_robustness.main([given, *flags, f"--run_dir={tmp_path / 'run'}"]) == 2
    assert "robustness.md is a folder where the run writes a file" in capfd.readouterr().err
    assert eval_robustness.main([given, *flags, f"--run_dir={classifiers[0]}"]) == 2
    assert "another configuration" in capfd.readouterr().err
