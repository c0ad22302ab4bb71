"""Two processes do what one does where the mathematics says so; what batch norm makes of each part is said."""

import signal

import numpy as np
import pytest
import torch

from common.errors import UsageError
from common.pytorch.process_group import Group
from common.pytorch.training_loop import AGREE_EVERY
from re_sln.training import checkpoint
from re_sln.training.experiment import load_data
from re_sln.training.wide_resnet import build_network
from tests.programs import metrics_of, result_of, start
from tests.re_sln import processes_program
from tests.re_sln.small_runs import DIGITS, MODELS, config_of, left_by, small_data, wait_for

ALONE = Group(0, 1, torch.device("cpu"))
# Without the lone -- torchrun takes --mo, which follows, for one of its own flags.
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "--"]
FORKED = ["-m", "tests.two_processes", "tests.re_sln.processes_program"]
PLAIN = [*DIGITS, *MODELS["sln-mo-lc"], "--n_epochs=3"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def two(base):
    """What the program found in each of two processes; then a plain run, for which they are started anew."""
    out = err = ""
    # A second group in one process would find the addresses of the first.
    for program in (
        [*FORKED, str(base / "found")],
        [*TORCHRUN, "re_sln.train_cifar", *PLAIN, f"--run_dir={base / 'run'}"],
    ):
        process = start(program, DATA_DIR=str(base / "data"))
        out, err = process.communicate()
        assert process.returncode == 0, err[-5000:]
    (base / "out").write_text(out)
    (base / "err").write_text(err)
    found = []
    for rank in range(2):
        with np.load(base / f"found.{rank}.npz") as file:
            found.append({name: file[name] for name in file.files})
    return found


@pytest.fixture(scope="module")
def one():
    return processes_program.frozen_run(ALONE)


@pytest.mark.parametrize("part", ["gradient:", "model:", "average:", "1:", "2:", "3:"])
def test_without_batch_statistics_two_processes_are_one(one, two, part):
    """Gradients, weights, the moving average; losses and accuracies; targets, whose weights are over both's losses."""
    names = [name for name in one if name.startswith(part)]
    assert names
    for name in names:
        for rank in two:
            np.testing.assert_allclose(rank[name], one[name], atol=1e-6, rtol=1e-6, err_msg=name)


def test_the_run_that_is_compared_is_no_trivial_one(one):
    assert not np.array_equal(one["2:targets"], one["1:targets"])
    assert not np.array_equal(one["3:targets"], one["2:targets"])
    assert np.abs(one["model:network.conv1.weight"] - one["average:network.conv1.weight"]).max() > 1e-4
    frozen = [name for name in one if name.startswith("model:") and "running_mean" in name]
    assert all((one[name] == np.float64(np.float32(0.1))).all() for name in frozen)


def test_the_leader_reads_the_state_for_all(two):
    """A folder of runs that is not shared, or is shared late, looks otherwise to the others."""
    leader, other = two
    for name in [name for name in leader if name.startswith("resumed:")]:
        np.testing.assert_array_equal(other[name], leader[name], err_msg=name)
    assert leader["resumed:step"] == 2


def test_a_process_that_reads_other_labels_says_so(two):
    leader, other = two
    assert str(leader["other labels"]) == ""
    assert str(other["other labels"]).startswith("process 1 reads other data or labels than the first one: give")


def test_processes_with_different_flags_say_so(two):
    """On two machines somebody starts two commands; the record would tell of the first."""
    for rank in two:
        assert str(rank["other flags"]).startswith("lr is not the same in all processes (0.5, 0.25): start the")


def test_batch_norm_normalises_each_processs_part_and_the_leaders_averages_count(two):
    """After a step a process's averages are of its own half of the batch; before a test all take the leader's."""
    data, batch = small_data(), two[0]["step:batch"]
    (network,) = build_network("wrn-10-1", 3, 123)
    name = "layer1.0.bn1.running_mean"
    for rank, half in enumerate((batch[:8], batch[8:])):
        images = ((data.train[half] / 255 - data.mean) / data.std).transpose(0, 3, 1, 2)
        with torch.no_grad():
            expected = 0.1 * network.conv1(torch.tensor(images, dtype=torch.float32)).mean(dim=(0, 2, 3))
        np.testing.assert_allclose(two[rank][f"step:own:{name}"], expected, atol=1e-6)
    assert np.abs(two[0][f"step:own:{name}"] - two[1][f"step:own:{name}"]).max() > 1e-4
    for key in (key for key in two[0] if key.startswith("step:agreed:")):
        assert np.array_equal(two[0][key], two[1][key])
        assert np.array_equal(two[0][key], two[0][key.replace("agreed", "own")])
    # the weights themselves are the same in both
    assert np.array_equal(two[0]["step:own:conv1.weight"], two[1]["step:own:conv1.weight"])


def test_what_processes_tell_one_another(two):
    for rank in two:
        assert rank["any"].tolist() == [True, False]
        assert rank["shared"] == "rank 0"
        assert "--sync_bn" in str(rank["sync_bn"]) and "leave it out on a CPU" in str(rank["sync_bn"])


def test_a_plain_run_on_two_processes_writes_one_record(two, base):
    result, lines = result_of(base / "run"), metrics_of(base / "run")
    assert result["finished"] and result["world_size"] == 2
    assert [line["step"] for line in lines] == [3, 6, 9]
    assert (base / "out").read_text().count("epoch 3:") == 1
    assert (base / "err").read_text().count("made ") == 1  # of the noise file
    assert result["metrics"]["accuracy"] == lines[-1]["accuracy/test"]
    assert 360 * result["metrics"]["accuracy"] == pytest.approx(round(360 * result["metrics"]["accuracy"]))
    # 150 examples each epoch, each counted once
    assert 150 * lines[0]["accuracy/train"] == pytest.approx(round(150 * lines[0]["accuracy/train"]))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_processes_that_were_stopped_go_on_with_the_same_bits(base):
    """A scheduler stops torchrun; both processes agree on the step after which they stop."""
    folders = [base / "whole", base / "stopped"]
    # Long enough to be stopped; the last checkpoint is from label correction or from before it.
    arguments = [*PLAIN, "--n_epochs=30", "--lc_n_epoch=4"]

    def launch(folder):
        return start([*TORCHRUN, "re_sln.train_cifar"], *arguments, f"--run_dir={folder}", DATA_DIR=str(base / "data"))

    process = launch(folders[1])
    wait_for(lambda: (folders[1] / "metrics.jsonl").exists() and len(metrics_of(folders[1])) > 4, process)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert not result_of(folders[1])["finished"]
    (step,) = checkpoint.FILES.steps(folders[1])
    assert step % AGREE_EVERY == 0 or step % 3 == 0  # or within a test or a scoring, between two epochs
    for folder in folders:
        process = launch(folder)
        _, err = process.communicate()
        assert process.returncode == 0, err[-3000:]
    assert left_by(folders[1]) == left_by(folders[0])


@pytest.mark.parametrize("count, world", [(7, 2), (8, 2), (1, 2), (10, 4), (3, 4), (128, 3)])
def test_every_example_of_a_batch_is_one_processs(count, world):
    parts = [list(range(count))[Group(rank, world, torch.device("cpu")).share(count)] for rank in range(world)]
    assert [example for part in parts for example in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


class Silent(Group):
    """One of several processes whose others are not there."""

    def add(self, value):
        return value

    def leader_does(self, work):
        return work()


def test_a_batch_that_cannot_be_shared_is_refused():
    """When flags are resolved, where every batch is too small; with the data, where the last one of an epoch is."""
    with pytest.raises(UsageError, match="--batch_size=1: must be at least 2"):
        config_of(world_size=2, batch_size=1)
    config = config_of(world_size=2, batch_size=149, p=0.0, limit_train_examples=150)
    with pytest.raises(UsageError, match=r"--batch_size=149: .* 1 images for 2 processes; choose another size"):
        load_data(config, Silent(0, 2, torch.device("cpu")), make_new=False)
    # 360 test images are scored in batches of their own, of which a process may have no part.
    config = config_of(world_size=2, batch_size=359, p=0.0, limit_train_examples=150)
    load_data(config, Silent(0, 2, torch.device("cpu")), make_new=False)
