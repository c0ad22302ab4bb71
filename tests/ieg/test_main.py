"""The program through its command line; in this process where it can be: a new one loads TensorFlow for seconds."""

import dataclasses
import json
import signal
import time

import numpy as np
import pytest

from common.errors import UsageError
from common.records.config_text import format_config
from ieg import experiment
from ieg.devices.distribution import Worker, make_strategy
from ieg.main import as_trained, run_folder
from ieg.settings.config import resolve
from ieg.settings.flags import parse_flags
from reproduce.cells.programs import known_programs
from tests.ieg.small_runs import MORE, SMALL, folder_of, last_checkpoint, run, start
from tests.programs import ROOT, metrics_of, run_as_main

PROGRAM = ["-m", "ieg.main"]
# TensorFlow would keep to deterministic kernels for the other tests, too.
IN_PROCESS = [argument for argument in SMALL if argument != "--deterministic"]


METHODS = ("ieg", "l2r", "supervised", "fsr")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished, uninterrupted run of every method, by method."""
    base = tmp_path_factory.mktemp("finished")
    for method in METHODS:
        words = [*IN_PROCESS, f"--method={method}", *MORE.get(method, []), f"--checkpoint_path={base / method}"]
        assert run_as_main(PROGRAM, *words) == 0
    return {method: folder_of(base / method) for method in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_a_run_leaves_a_complete_record(finished, method):
    folder = finished[method]
    result = json.loads((folder / "result.json").read_text())
    lines = metrics_of(folder)
    assert [line["step"] for line in lines] == [14, 28, 30]
    assert result["finished"]
    assert result["dataset"]["name"] == "digits"
    assert 0 < result["notes"]["noise_rate"] < 0.8
    assert 0 < result["notes"]["seconds_per_step"] < result["wall_seconds"] / 30
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


def test_a_finished_run_is_not_repeated_and_can_be_evaluated(finished, capfd):
    before = last_checkpoint(finished["ieg"])
    words = [*IN_PROCESS, "--method=ieg", f"--checkpoint_path={finished['ieg'].parent}"]
    assert run_as_main(PROGRAM, *words) == 0
    assert "is finished" in capfd.readouterr().err
    synonyms = (
        " ".join(IN_PROCESS).replace("--batch_size", "--global_batch_size").replace("--network_name", "--arch").split()
    )
    assert run_as_main(PROGRAM, *synonyms, "--method=ieg", "--lr=0.1", f"--run_dir={finished['ieg']}") == 0
    assert "is finished" in capfd.readouterr().err
    assert last_checkpoint(finished["ieg"]) == before
    assert run_as_main(PROGRAM, *words, "--evaluate") == 0
    out = capfd.readouterr().out
    last = metrics_of(finished["ieg"])[-1]
    assert f"step 30: accuracy {last['acc/eval']:.4f} on 360 test images of digits" in out
    assert f"EMA accuracy {last['acc/ema_eval']:.4f}" in out


def test_scores_and_queue_are_in_the_checkpoint(finished):
    with np.load(sorted(finished["fsr"].glob("checkpoint_*.npz"))[-1]) as file:
        found = {name.removeprefix("memory:"): file[name] for name in file.files if name.startswith("memory:")}
    assert found["seen"].mean() > 0.9
    assert np.count_nonzero(found["scores"]) == found["seen"].sum()
    assert found["queue_images"].shape == (200, 8, 8, 3)
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
    assert "the same command resumes from there" in err
    assert "Traceback" not in err
    folder = folder_of(tmp_path)
    assert not json.loads((folder / "result.json").read_text())["finished"]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, capfd):
    arguments = [*IN_PROCESS, "--method=supervised", "--learning_rate=1e30", f"--checkpoint_path={tmp_path}"]
    assert run_as_main(PROGRAM, *arguments) == 1
    err = capfd.readouterr().err
    assert "error: loss/" in err
    assert "at step" in err
    assert "Traceback" not in err


def test_workers_with_different_flags_or_data_say_so(tmp_path, monkeypatch):
    """On two machines somebody starts two commands; the record would tell of the first."""
    monkeypatch.setattr(experiment, "this_worker", lambda _: Worker(chief=True, several=True, first=0, count=1))

    def told(data, *words):
        """What a worker tells the others of its run; another one tells something else."""
        found = []
        monkeypatch.setattr(experiment, "agree", lambda _, value: found.append(value) or [value, value + 1])
        with pytest.raises(UsageError, match=r"would train different runs .*: start the same command"):
            experiment.train(resolve(parse_flags([*IN_PROCESS, *words]), 1), None, tmp_path, [], data)
        return found[0]

    assert told("digits") == told("digits", "--log_freq=7")
    assert len({told("digits"), told("other digits"), told("digits", "--learning_rate=0.2")}) == 3


def test_check_prints_the_configuration_and_stops(tmp_path, capfd):
    assert run_as_main(PROGRAM, *IN_PROCESS, "--image_size=16", "--check", f"--checkpoint_path={tmp_path}") == 0
    out = capfd.readouterr().out
    assert "resolved_probe_size: 20" in out
    assert 'data_name: "digits"' in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset=cifar11"], "cifar11"),
        (["--dataset=cifar10", "--dataset_dir=/nowhere"], "/nowhere"),
        (["--dataset=digits", "--probe_dataset_hold_ratio=0.001"], "one a class"),
        ([*IN_PROCESS, "--mode=evaluation", "--checkpoint_path=/nowhere"], "no checkpoint in /nowhere"),
    ],
)
def test_mistakes_end_in_one_line_and_exit_code_2(arguments, message, capfd):
    assert run_as_main(PROGRAM, *arguments) == 2
    err = capfd.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("error")]
    assert message in line
    assert "Traceback" not in err


def trained(base, *more):
    """The folder of a run on two or more devices, as far as its configuration; and its run."""
    flags = parse_flags([*SMALL, f"--checkpoint_path={base}", *more])
    config = resolve(flags, flags.num_devices)
    run_folder(config).mkdir(parents=True)
    (run_folder(config) / "config.yml").write_text(format_config(config.record()))
    return run_folder(config), config


def scored(base, *more):
    flags = parse_flags([*SMALL, "--mode=evaluation", *([f"--checkpoint_path={base}"] if base else []), *more])
    return as_trained(flags, resolve(flags, 1), None)


def test_a_run_is_scored_on_other_devices_than_it_was_trained_on(tmp_path):
    folder, config = trained(tmp_path, "--num_devices=2")
    assert scored(tmp_path).record() == scored(None, f"--run_dir={folder}").record() == config.record()
    assert run_folder(scored(tmp_path)) == folder
    for other in ("--learning_rate=0.2", "--seed=7"):
        assert scored(tmp_path, other).replicas == scored(None, f"--run_dir={folder}", other).replicas == 1
    trained(tmp_path, "--num_devices=3")
    with pytest.raises(UsageError, match=rf"trained on other devices in .*{folder}.*: name the folder .* --run_dir"):
        scored(tmp_path)
    assert scored(None, f"--run_dir={folder}").record() == config.record()


@pytest.mark.parametrize("place", ["checkpoint_path", "run_dir"])
@pytest.mark.parametrize("devices", [[], ["--distribution_strategy=multi_worker"]])
def test_reproduce_verify_scores_a_run_wherever_it_is_and_whatever_it_was_trained_on(tmp_path, place, devices):
    folder, config = trained(tmp_path, "--num_devices=2", *devices)
    moved = folder.rename(tmp_path / "moved")
    words = [word.format(folder=moved) for word in known_programs()["ieg.main"].prints]
    flags = parse_flags([*SMALL, "--num_devices=2", *devices, f"--{place}={folder}", *words])
    assert make_strategy(dataclasses.replace(flags, deterministic=False)).num_replicas_in_sync == 1
    run = as_trained(flags, resolve(flags, 1), None)
    assert (run_folder(run), run.record()) == (moved, config.record())


def test_runs_as_a_script_from_inside_its_folder():
    out, _ = run(*SMALL, "--check", cwd=ROOT / "ieg", program=("main.py",))
    assert 'dataset: "digits_uniform_0.8"' in out


@pytest.mark.parametrize(
    "method", ["supervised", *(pytest.param(name, marks=pytest.mark.slow) for name in ("l2r", "fsr", "ieg"))]
)
def test_a_step_compiled_by_xla_is_the_plain_one(method, tmp_path):
    last = []
    for flags in ([], ["--jit_compile"]):
        folder = tmp_path / f"run{len(last)}"
        run(*SMALL, *MORE.get(method, []), f"--method={method}", "--max_iteration=2", *flags, f"--run_dir={folder}")
        last.append(metrics_of(folder)[-1])
    plain, compiled = last
    for name in [name for name in plain if name.startswith("loss/")]:
        assert compiled[name] == pytest.approx(plain[name], rel=2e-3), name
