"""Two gloo processes do what one does: with batch norm in eval mode, and with --bn-splits 2 in train mode."""

import signal
import time

import numpy as np
import pytest
import torch

from common.pytorch.process_group import Group
from common.pytorch.torch_files import read_tensors
from moco_nonsem import main_lincls
from moco_nonsem.pretraining import program as pretrain_program
from moco_nonsem.running import checkpoint
from tests.moco_nonsem import processes_program
from tests.moco_nonsem.small_runs import LINEAR, PATCH
from tests.programs import ROOT, free_port, metrics_of, result_of, start

RUN = [*PATCH, "--epochs=2", "--save-freq=1", "--knn-every=2"]
GLOO = ["--dist-backend=gloo", "--device=cpu"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def two(base, tree):
    """What was found in each of two processes."""
    process = start(["-m", "tests.two_processes", "tests.moco_nonsem.processes_program", str(base / "found")])
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-5000:]
    found = []
    for rank in range(2):
        with np.load(base / f"found.{rank}.npz") as file:
            found.append({name: file[name] for name in file.files})
    return found


@pytest.fixture(scope="module")
def alone():
    group = Group(0, 1, torch.device("cpu"))
    return {**processes_program.steps(group, True), **processes_program.steps(group, False)}


@pytest.fixture(scope="module")
def one(base, tree):
    folder = base / "one"
    assert pretrain_program.main([*RUN, f"--run_dir={folder}", str(tree)]) == 0
    return folder


@pytest.mark.parametrize("kind", ["frozen", "split"])
def test_two_processes_are_one(kind, alone, two):
    """Gradients, both encoders' weights, queue, pointer, loss, similarities. Running averages of parts: see below."""
    names = [name for name in alone if name.startswith(kind)]
    assert len(names) > 80
    for name in names:
        if kind == "split" and "running_" in name:
            continue
        for rank in two:
            np.testing.assert_allclose(rank[name], alone[name], atol=1e-9, rtol=1e-9, err_msg=name)


def test_the_running_averages_of_one_process_are_the_mean_of_the_two(alone, two):
    names = [name for name in alone if name.startswith("split") and "running_" in name]
    assert names
    # The variance's is not affected by what mean the other part has: each part is normalised apart.
    for name in names:
        np.testing.assert_allclose((two[0][name] + two[1][name]) / 2, alone[name], atol=1e-9, err_msg=name)
    assert any(not np.allclose(two[0][name], two[1][name]) for name in names)


def test_the_steps_that_are_compared_are_no_trivial_ones(alone):
    for kind in ("frozen", "split"):
        assert alone[f"{kind}:queue_ptr"].item() == 8 * 4 % 24
        assert np.abs(alone[f"{kind}:gradient.conv1.weight"]).max() > 1e-4
        assert np.abs(alone[f"{kind}:encoder_q.conv1.weight"] - alone[f"{kind}:encoder_k.conv1.weight"]).max() > 1e-5
    assert not np.allclose(alone["frozen:queue"], alone["split:queue"], atol=1e-3)


def test_the_shuffle_goes_over_both_processes_and_back(two):
    values = np.arange(12.0)[:, None] * 10
    order = two[0]["order"]
    assert np.array_equal(order, two[1]["order"])
    assert np.array_equal(np.concatenate([rank["shuffled"] for rank in two]), values[order])
    assert {0, 1} == {int(place) // 6 for place in order[:6]}  # images do change the process
    for rank in two:
        assert np.array_equal(rank["unshuffled"], values)


def test_what_processes_tell_one_another(two):
    for rank in two:
        assert str(rank["from_leader"]) == "rank 0" and str(rank["error"]) == "no good"
        assert rank["any"].tolist() == [True, False]


@pytest.mark.parametrize("program", ["pretraining", "linear_probe"])
def test_processes_with_different_flags_say_so(two, program):
    """On two machines somebody starts two commands; the record would tell of the first."""
    for rank in two:
        expected = "seed is not the same in all processes (0, 1): start the same command on all machines"
        assert str(rank[program]) == expected


@pytest.mark.slow
def test_the_program_under_torchrun_is_the_program(one, base, tree):
    """The same command, global batch and parts of batch norm: the same run, up to rounding."""
    process = start(
        [*TORCHRUN, "-m", "moco_nonsem.moco-non-sem-neg", *RUN, *GLOO, f"--run_dir={base / 'two'}", str(tree)]
    )
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-5000:]
    assert (base / "two" / "config.yml").read_text() == (one / "config.yml").read_text()
    assert result_of(base / "two")["world_size"] == 2 and result_of(one)["world_size"] == 1
    for mine, theirs in zip(metrics_of(base / "two"), metrics_of(one), strict=True):
        for name in ("loss/train", "similarity/key", "similarity/queue", "similarity/nonsem"):
            assert mine[name] == pytest.approx(theirs[name], abs=2e-3), name
    first, other = (read_tensors(run / "checkpoint_0000.pth.tar") for run in (base / "two", one))
    assert first["state_dict"].keys() == other["state_dict"].keys()
    for name in ("module.encoder_q.conv1.weight", "module.queue"):
        torch.testing.assert_close(first["state_dict"][name], other["state_dict"][name], atol=2e-3, rtol=1e-2)
    assert "Traceback" not in err


def test_processes_that_the_program_starts_from_inside_its_folder(one, base, tree):
    """The authors' way."""
    distributed = ["--multiprocessing-distributed", "--world-size=1", "--rank=0", "--processes=2", *GLOO]
    places = [f"--run_dir={base / 'started'}", f"--dist-url=tcp://localhost:{free_port()}", str(tree)]
    process = start(["moco-non-sem-neg.py"], *RUN, *distributed, *places, cwd=ROOT / "moco_nonsem")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-5000:]
    assert (out + err).count("epoch 0:") == 1
    for mine, theirs in zip(metrics_of(base / "started"), metrics_of(one), strict=True):
        assert mine["loss/train"] == pytest.approx(theirs["loss/train"], abs=2e-3)


@pytest.mark.slow
def test_the_linear_classifier_in_two_processes(one, base, tree):
    distributed = ["--multiprocessing-distributed", "--processes=2", *GLOO]
    given = [f"--pretrained={one / 'checkpoint_0001.pth.tar'}", "--epochs=1", str(tree)]
    process = start(["-m", "moco_nonsem.main_lincls"], *LINEAR, *distributed, f"--run_dir={base / 'linear'}", *given)
    assert main_lincls.main([*LINEAR, f"--run_dir={base / 'linear-one'}", *given]) == 0
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-5000:]
    (mine,), (theirs,) = metrics_of(base / "linear"), metrics_of(base / "linear-one")
    assert mine["loss/train"] == pytest.approx(theirs["loss/train"], rel=1e-4)
    assert mine["accuracy/val"] == theirs["accuracy/val"]


@pytest.mark.slow
def test_sigterm_to_the_program_stops_its_processes_and_they_go_on(base, tree):
    distributed = ["--multiprocessing-distributed", "--processes=2", *GLOO]
    command = [*PATCH, *distributed, f"--run_dir={base / 'stopped'}", str(tree)]
    process = start(["-m", "moco_nonsem.moco-non-sem-neg"], *command, "--epochs=100000")
    while process.poll() is None and not (base / "stopped" / "metrics.jsonl").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err[-3000:]
    assert err.count("to resume") == 1 and "Traceback" not in err
    assert checkpoint.FILES.steps(base / "stopped") and not result_of(base / "stopped")["finished"]


@pytest.mark.slow
def test_a_mistake_of_several_processes_is_said_once(base, tree):
    distributed = ["--multiprocessing-distributed", "--processes=2", *GLOO]
    process = start(
        ["-m", "moco_nonsem.moco-non-sem-neg"], *PATCH, *distributed, f"--run_dir={base / 'no'}", str(tree / "nowhere")
    )
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert err.count("error: ") == 1 and "is missing" in err and "Traceback" not in err
