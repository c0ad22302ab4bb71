"""The program through its command line, in processes of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.data.standin import write_cifar

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "--dataset=digits_uniform_0.8", "--image_size=16", "--network_name=wrn10-1", "--probe_dataset_hold_ratio=0.014",
    "--batch_size=100", "--max_iteration=30", "--aug_type=default", "--deterministic",
]  # fmt: skip

MORE = {"fsr": ["--meta_start_epoch=1", "--queue_capacity=200", "--queue_bs=50", "--moving_weight_gamma=0.5"]}


def start(*arguments, cwd=ROOT, program=("-m", "ieg.main")):
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("DATA_DIR", None)
    command = [sys.executable, *program, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(*arguments, code=0, **options):
    process = start(*arguments, **options)
    out, err = process.communicate()
    assert process.returncode == code, err[-3000:]
    return out, err


def folder_of(path):
    (folder,) = [entry for entry in Path(path).iterdir() if (entry / "config.yml").exists()]
    return folder


def metrics_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def last_checkpoint(folder):
    with np.load(sorted(folder.glob("checkpoint_*.npz"))[-1]) as file:
        return {name: file[name].tobytes() for name in file.files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished, uninterrupted run of every method, by method."""
    base = tmp_path_factory.mktemp("finished")
    processes = {
        method: start(*SMALL, f"--method={method}", *MORE.get(method, []), f"--checkpoint_path={base / method}")
        for method in ("ieg", "l2r", "supervised", "fsr")
    }
    for process in processes.values():
        _, err = process.communicate()
        assert process.returncode == 0, err[-3000:]
    return {method: folder_of(base / method) for method in processes}


@pytest.mark.parametrize("method", ["ieg", "l2r", "supervised", "fsr"])
def test_a_run_leaves_a_complete_record(finished, method):
    folder = finished[method]
    result = json.loads((folder / "result.json").read_text())
    lines = metrics_of(folder)
    assert [line["step"] for line in lines] == [14, 28, 30]
    assert result["finished"]
    assert result["dataset"]["name"] == "digits"
    assert 0 < result["notes"]["noise_rate"] < 0.8
    assert result["metrics"]["accuracy_last_step"] == lines[-1]["acc/ema_eval"]
    # 1,417 images in batches of 100: the first cycle ends after 14 steps, the second would after 35
    assert (result["metrics_step"], result["metrics"]["accuracy"]) == (14, lines[0]["acc/ema_eval"])
    names = {"loss/net", "acc/train", "acc/eval", "acc/ema_eval", "weights/zeroratio", "learningrate", "epoch"}
    names |= {"weights/clean", "weights/noisy"}
    names |= set() if method == "supervised" else {"loss/meta", "acc/meta"}
    names |= {"loss/xemin", "loss/consistency", "labels/recovered"} if method == "ieg" else set()
    names |= {"loss/pseudo", "loss/clean", "loss/noisy", "margin/clean", "margin/noisy"} if method == "fsr" else set()
    names |= {"queue/purity", "queue/capacity"} if method == "fsr" else set()
    assert names <= lines[-1].keys()
    assert (folder / "queue_purity.png").exists() == (method == "fsr")
    with np.load(folder / "example_weights.npz") as file:
        assert file["weight"].shape == file["is_clean"].shape
        assert file["is_clean"].mean() == pytest.approx(1 - result["notes"]["noise_rate"])
    assert list((folder / "tensorboard").glob("events*"))


def test_a_finished_run_is_not_repeated_and_can_be_evaluated(finished):
    before = last_checkpoint(finished["ieg"])
    _, err = run(*SMALL, "--method=ieg", f"--checkpoint_path={finished['ieg'].parent}")
    assert "is finished" in err
    assert last_checkpoint(finished["ieg"]) == before
    out, _ = run(*SMALL, "--method=ieg", f"--checkpoint_path={finished['ieg'].parent}", "--mode=evaluation")
    last = metrics_of(finished["ieg"])[-1]
    assert f"step 30: accuracy {last['acc/eval']:.4f} on 360 test images of digits" in out
    assert f"EMA accuracy {last['acc/ema_eval']:.4f}" in out


@pytest.mark.parametrize("method", ["ieg", "fsr"])
def test_kill_9_and_the_same_command_give_the_same_bits(finished, tmp_path, method):
    arguments = [*SMALL, f"--method={method}", *MORE.get(method, [])]
    arguments += [f"--checkpoint_path={tmp_path}", "--save_minutes=0.01"]
    process = start(*arguments)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if any(tmp_path.glob("*/checkpoint_*.npz")):
            time.sleep(float(np.random.default_rng().uniform(0.2, 1.5)))  # at no moment in particular
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    folder = folder_of(tmp_path)
    assert not json.loads((folder / "result.json").read_text())["finished"]
    part = last_checkpoint(folder)
    _, err = run(*arguments)
    assert "going on after step" in err
    whole = last_checkpoint(finished[method])
    assert last_checkpoint(folder) == whole
    assert part != whole
    assert (folder / "metrics.jsonl").read_bytes() == (finished[method] / "metrics.jsonl").read_bytes()


def test_scores_and_queue_are_in_the_checkpoint(finished):
    with np.load(sorted(finished["fsr"].glob("checkpoint_*.npz"))[-1]) as file:
        found = {name.removeprefix("memory:"): file[name] for name in file.files if name.startswith("memory:")}
    assert found["seen"].mean() > 0.9
    assert np.count_nonzero(found["scores"]) == found["seen"].sum()
    assert found["queue_images"].shape == (200, 16, 16, 3)
    assert len(set(found["queue_ids"])) == 200
    assert np.bincount(found["queue_labels"]).tolist() == [20] * 10
    assert found["running_logits"].any(1).sum() == found["seen"].sum()
    assert np.ptp(found["class_weights"]) > 0


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    arguments = [
        *SMALL,
        "--max_iteration=100000",
        "--method=supervised",
        f"--checkpoint_path={tmp_path}",
        "--eval_freq=10",
    ]
    process = start(*arguments)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not any(tmp_path.glob("*/checkpoint_*.npz")):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    folder = folder_of(tmp_path)
    assert not json.loads((folder / "result.json").read_text())["finished"]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    arguments = [*SMALL, "--method=supervised", "--learning_rate=1e30", f"--checkpoint_path={tmp_path}"]
    _, err = run(*arguments, code=1)
    assert "error: loss/" in err
    assert "at step" in err
    assert "Traceback" not in err


def test_check_prints_the_configuration_and_stops(tmp_path):
    out, _ = run(*SMALL, "--check", f"--checkpoint_path={tmp_path}")
    assert "resolved_probe_size: 20" in out
    assert 'data_name: "digits"' in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset=cifar11"], "cifar11"),
        (["--dataset=cifar10", "--dataset_dir=/nowhere"], "/nowhere"),
        (["--dataset=digits", "--probe_dataset_hold_ratio=0.001"], "one a class"),
        ([*SMALL, "--mode=evaluation", "--checkpoint_path=/nowhere"], "no checkpoint in /nowhere"),
    ],
)
def test_mistakes_end_in_one_line_and_exit_code_2(arguments, message):
    _, err = run(*arguments, code=2)
    (line,) = [line for line in err.splitlines() if line.startswith("error")]
    assert message in line
    assert "Traceback" not in err


def test_runs_as_a_script_from_inside_its_folder():
    out, _ = run(*SMALL, "--check", cwd=ROOT / "ieg", program=("main.py",))
    assert 'dataset: "digits_uniform_0.8"' in out


@pytest.fixture(scope="module")
def standins(tmp_path_factory):
    """CIFAR-10 and CIFAR-100 of the official layout and size, with images made up here."""
    folder = tmp_path_factory.mktemp("standins")
    for name in ("cifar10", "cifar100"):
        write_cifar(folder, name, train=50000, test=10000)
    return folder


PUBLISHED = [
    "--dataset=cifar100_uniform_0.8 --network_name=wrn28-10",
    "--dataset=cifar100_uniform_0.2 --network_name=wrn28-10 --aug_type=randaug",
    "--dataset=cifar10_uniform_0.4 --network_name=resnet29 --probe_dataset_hold_ratio=0.002",
    "--dataset=cifar10_asymmetric_0.4 --network_name=resnet29 --probe_dataset_hold_ratio=0.002",
    "--dataset=cifar10_uniform_0.8 --network_name=wrn28-10 --probe_dataset_hold_ratio=0.0002 --method=l2r",
    "--dataset=cifar100 --method=supervised",
]


@pytest.mark.parametrize("command", [PUBLISHED[0], PUBLISHED[3]])
def test_published_commands_are_accepted(standins, command, tmp_path):
    data = [f"--dataset_dir={standins}", "--allow_unverified"]
    out, _ = run(*command.split(), *data, f"--checkpoint_path={tmp_path}", "--check")
    assert "-standin" in out
    _, err = run(*command.split(), f"--dataset_dir={standins}", f"--checkpoint_path={tmp_path}", "--check", code=2)
    assert "--allow_unverified" in err


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", PUBLISHED)
def test_published_commands_train_and_evaluate(command, tmp_path):
    """As printed, but for the batch size and the number of steps, on stand-ins with a short test set."""
    for name in ("cifar10", "cifar100"):
        write_cifar(tmp_path / "data", name, train=50000, test=200)
    short = [f"--dataset_dir={tmp_path / 'data'}", "--allow_unverified", "--batch_size=4", "--max_iteration=1"]
    arguments = [*command.split(), *short, "--val_batch_size=50", f"--checkpoint_path={tmp_path / 'runs'}"]
    run(*arguments)
    result = json.loads((folder_of(tmp_path / "runs") / "result.json").read_text())
    assert result["finished"]
    assert result["dataset"]["name"].endswith("-standin")
    out, _ = run(*arguments, "--mode=evaluation")
    assert "on 200 test images" in out
