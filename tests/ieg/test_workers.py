"""Several machines, tried as two processes on the loopback; the strategies that need no second machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from common.errors import UsageError
from ieg.devices.distribution import check_tf_config, make_strategy
from ieg.settings.flags import parse_flags
from tests.ieg.small_runs import SMALL, folder_of, run
from tests.programs import metrics_of, run_as_main

ROOT = Path(__file__).resolve().parents[2]


def free_ports(count):
    """Ports that nobody listens on, all of them held until all are known."""
    sockets = [socket.socket() for _ in range(count)]
    for held in sockets:
        held.bind(("127.0.0.1", 0))
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def start_workers(*command, count=2):
    """The same command as every worker of a cluster on this machine."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(count)]
    processes = []
    for index in range(count):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TF_CONFIG": json.dumps(config), "TF_CPP_MIN_LOG_LEVEL": "3"}
        arguments = [str(argument).replace("{index}", str(index)) for argument in command]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return processes


def ended(processes, code=0):
    """What each of them wrote to stderr."""
    texts = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [code] * len(processes), "\n".join(t[-1500:] for t in texts)
    return texts


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """What two replicas on one machine and two workers make of the same batches: {way: {name: array}}."""
    base = tmp_path_factory.mktemp("steps")
    processes = start_workers("tests.ieg.workers_program", "workers", base / "{index}.npz")
    processes += start_workers("tests.ieg.workers_program", "mirrored", base / "mirrored.npz", count=1)
    ended(processes)
    return {name: dict(np.load(base / f"{name}.npz")) for name in ("0", "1", "mirrored")}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", ["supervised", "fsr"])
def test_two_workers_do_what_two_replicas_of_one_machine_do(steps, method):
    one, mirrored = steps["0"], steps["mirrored"]
    names = [name for name in mirrored if name.startswith(f"{method}|") and not name.endswith("|equal")]
    assert len(names) > 50
    for name in names:
        np.testing.assert_allclose(
            one[name].astype(np.float64), mirrored[name][: len(one[name])] if one[name].shape else mirrored[name],
            rtol=2e-4, atol=2e-6, err_msg=name,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_both_workers_hold_the_same_and_know_what_is_theirs(steps):
    one, other = steps["0"], steps["1"]
    for name in one:
        if name not in ("rows", "fsr|equal", "supervised|equal"):
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert (one["rows"].tolist(), other["rows"].tolist()) == ([0, 4], [4, 8])
    assert one["agreed"].tolist() == [40, 41]
    assert one["fsr|weights"].shape == (1, 8)  # of all replicas, on every worker


COMMAND = [*SMALL, "--method=supervised", "--distribution_strategy=multi_worker", "--batch_size=50"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_worker_is_stopped_both_end_after_the_same_step_and_go_on(tmp_path):
    command = ["ieg.main", *COMMAND, "--max_iteration=100", "--eval_freq=10", f"--checkpoint_path={tmp_path}"]
    processes = start_workers(*command)
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline and not any(tmp_path.glob("*/checkpoint_*.npz")):
        assert [process.poll() for process in processes] == [None, None]
        time.sleep(0.2)
    processes[1].send_signal(signal.SIGINT)
    texts = ended(processes, code=130)
    stopped = [text[text.index("stopped after step") :].splitlines()[0] for text in texts]
    assert stopped[0] == stopped[1]
    folder = folder_of(tmp_path)
    step = int(stopped[0].split()[3])
    assert (folder / f"checkpoint_{step:08d}.npz").exists()
    texts = ended(start_workers(*command))
    assert f"resuming after step {step}" in texts[0]
    assert json.loads((folder / "result.json").read_text())["finished"]
    assert [line["step"] for line in metrics_of(folder)][-1] == 100
    assert metrics_of(folder)[-1]["weights/clean"] == pytest.approx(1)
    assert not any(path.name.startswith(".") for path in folder.iterdir())
    texts = ended(start_workers(*command))
    assert "is finished" in texts[0]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_workers_that_see_different_folders_say_so(tmp_path):
    first = ["ieg.main", *COMMAND, "--max_iteration=2", f"--checkpoint_path={tmp_path / '{index}'}"]
    ended(start_workers(*first))
    assert not (tmp_path / "1").exists()  # only the first worker writes
    texts = ended(start_workers(*first), code=2)
    assert all("start after different steps" in text and "shared --checkpoint_path" in text for text in texts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_wrong_tf_config_is_refused(text):
    with pytest.raises(UsageError, match=r"TF_CONFIG is .* it must name the workers"):
        check_tf_config(text)
    check_tf_config('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}')


def test_several_machines_without_tf_config(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    # TensorFlow would keep to deterministic kernels for the other tests, too.
    words = [word for word in COMMAND if word != "--deterministic"]
    assert run_as_main(["-m", "ieg.main"], *words, f"--checkpoint_path={tmp_path}") == 2
    assert "TF_CONFIG is 'not set'" in capfd.readouterr().err


@pytest.mark.parametrize("error", [ValueError("no such name"), OSError("no answer")])
def test_a_tpu_that_is_not_there(monkeypatch, error):
    def fail(tpu):
        assert tpu == "somewhere"
        raise error

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", fail)
    with pytest.raises(UsageError, match="--tpu=somewhere: no TPU answers"):
        make_strategy(parse_flags(["--distribution_strategy=tpu", "--tpu=somewhere"]))


@pytest.mark.slow
def test_one_device_gives_what_the_default_gives(tmp_path):
    accuracies = []
    for strategy in ("mirrored", "one_device"):
        run(
            *SMALL, "--method=supervised", f"--distribution_strategy={strategy}", "--max_iteration=14",
            f"--checkpoint_path={tmp_path / strategy}",
        )  # fmt: skip
        accuracies.append(metrics_of(folder_of(tmp_path / strategy))[-1])
    assert accuracies[0] == accuracies[1]
