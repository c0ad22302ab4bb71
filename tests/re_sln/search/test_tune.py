"""The search for σ: its parts, the program without Ray, and (slow) with Ray, killed, stopped and failing."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common import ray_cluster
from common.errors import NonFiniteLoss, UsageError
from common.records.record_files import read_config
from data.digits import load_digits
from re_sln import tune
from re_sln.datasets.validation_split import hold_out, validation_split
from re_sln.search import progress as search_progress
from re_sln.search import ray_trials
from re_sln.search.progress import Progress, duration
from re_sln.search.ray_trials import Room, room_of_trial
from re_sln.search.search import DIVERGED, best_sigma, parse_search, parse_sigmas, resolve_search
from re_sln.search.trial import STOP, StopFile, run_trial
from re_sln.training.wide_resnet import build_network
from tests.programs import ROOT, metrics_of, result_of, run_as_main, start
from tests.re_sln.small_runs import DIGITS, small_data

LC = ["--mo", "--lc_n_epoch=2", "--n_epochs=4"]


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))


def search_of(*arguments):
    return resolve_search(parse_search([*DIGITS, *arguments]))


# The parts


def test_every_class_is_held_out_in_proportion_and_no_example_is_lost():
    given = np.repeat(np.arange(4), [100, 40, 20, 10])
    train, held_out = validation_split(given, 0.1, 5)
    assert np.bincount(given[held_out]).tolist() == [10, 4, 2, 1]
    assert sorted([*train, *held_out]) == list(range(170))
    assert (np.diff(train) > 0).all() and (np.diff(held_out) > 0).all()
    again, other = validation_split(given, 0.1, 5)[1], validation_split(given, 0.1, 6)[1]
    assert again.tolist() == held_out.tolist() != other.tolist()


def test_the_split_leaves_the_global_generators_alone():
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    validation_split(np.arange(100) % 2, 0.3, 1)
    assert before == (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002


def test_a_set_too_small_to_be_split_is_refused():
    with pytest.raises(UsageError, match=r"--val_size=0\.1: 20 examples cannot be split by class"):
        validation_split(np.arange(20) % 10, 0.1, 0)


def test_images_labels_and_what_is_wrong_are_split_together():
    data = dataclasses.replace(small_data(90), true=np.arange(90))
    split = hold_out(data, 0.2, 3, as_in_training=False)
    train, held_out = validation_split(data.given, 0.2, 3)
    assert len(train) == 72 and 0 < split.is_noisy.sum() < data.is_noisy.sum()
    for place, example in enumerate(train):
        assert split.train[place].tolist() == data.train[example].tolist()
        assert (split.given[place], split.is_noisy[place]) == (data.given[example], data.is_noisy[example])
        assert split.true[place] == example
    for place, example in enumerate(held_out):
        assert split.test_images["test"][place].tolist() == data.train[example].tolist()
        assert split.tests["test"][place] == data.given[example]  # the noisy label
    assert split.tests.keys() == split.test_images.keys() == {"test"}
    assert not split.augmented_tests and hold_out(data, 0.2, 3, as_in_training=True).augmented_tests == {"test"}


def test_the_best_sigma_is_the_most_accurate_and_of_several_the_smallest():
    assert best_sigma({"0.1": 0.3424, "0.2": 0.3444, "0.5": 0.437, "1.0": 0.4812}) == "1.0"  # published: sym
    assert best_sigma({"0.1": 0.6988, "0.2": 0.7042, "0.5": 0.7034, "1.0": 0.6594}) == "0.2"  # published: asym
    assert best_sigma({"10.0": 0.5, "2.0": 0.5, "1.0": 0.4}) == "2.0"


def test_sigmas_are_read_in_any_order_and_written_as_the_tables_do():
    assert [*map(repr, parse_sigmas("1,.1,0.50,2e-1"))] == ["0.1", "0.2", "0.5", "1.0"]


def test_a_search_has_one_name_and_other_searches_have_others():
    search = search_of()
    assert search.folder == search_of("--cpus_per_trial=1", "--device=cpu", "--address=auto").folder
    assert search.folder.parent.name == "re_sln" and search.folder.name.startswith("hp_digits_sym_")
    others = ["--sigmas=0.1", "--mo", "--val_size=0.2", "--val_transform=train", "--seed=1", "--noise_mode=asym"]
    assert len({search.folder, *(search_of(other).folder for other in others)}) == 7
    assert [trial.sigma for trial in search.trials.values()] == [0.1, 0.2, 0.5, 1.0]
    assert {trial.model for trial in search_of("--mo").trials.values()} == {"sln-mo"}


def test_trials_share_the_machine_unless_told_otherwise():
    def room(*arguments, machines=None):
        return room_of_trial(parse_search(list(arguments)), 4, machines or [Room(16, 1)])

    assert room() == Room(4, 0.25)
    assert room("--device=cpu") == Room(4, 0)
    assert room("--gpus_per_trial=1", "--cpus_per_trial=16") == Room(16, 1)
    assert room(machines=[Room(2, 0)]) == Room(1, 0)
    assert room(machines=[Room(8, 8), Room(8, 8)]) == Room(4, 1)
    assert room(machines=[Room(2, 0), Room(64, 0)]) == Room(16, 0)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--sigmas=0.1,x"], "--sigmas=0.1,x: numbers with commas"),
        (["--sigmas="], "--sigmas=: numbers with commas"),
        (["--sigmas=0.1,.10"], "--sigmas=0.1,.10: each σ is tried once"),
        (["--sigmas=-1"], "--sigma=-1.0: a standard deviation"),
        (["--sigmas=0,1", "--mo"], "none of the four models"),
        (["--lc_n_epoch=5"], "none of the four models"),
        (["--val_size=1"], "--val_size=1.0: a share"),
        (["--val_size=0.01"], "--val_size=0.01: 150 examples cannot be split by class"),
        (["--cpus_per_trial=0"], "--cpus_per_trial=0: a trial needs"),
        (["--cpus_per_trial=999"], "--cpus_per_trial=999 --gpus_per_trial=0: no machine has room"),
        (["--gpus_per_trial=2"], "--gpus_per_trial=2.0: a trial computes on one GPU"),
        (["--gpus_per_trial=0", "--device=cuda"], "--device=cuda --gpus_per_trial=0"),
        (["--gpus_per_trial=0.5", "--device=cpu"], "leave one of them out"),
        (["--dataset_name=animal-10n"], "--dataset_name=animal-10n: tune reads cifar10"),
        (["--p=2"], "--p=2.0: a rate"),
    ],
)
def test_mistakes_are_told_before_ray_starts(arguments, sentence, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(ray_cluster, "ray_started", None)
    monkeypatch.setattr(ray_trials, "this_machine", lambda: Room(2, 0))
    assert tune.main([*DIGITS, "--n_epochs=2", *arguments]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and sentence in error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("argument", ["--sigma=1", "--val_transform=both", "--cpus_per_trial=many", "--resume=exp_1"])
def test_flags_that_are_not_there_are_refused(argument, capsys):
    with pytest.raises(SystemExit) as stop:
        tune.main([*DIGITS, argument])
    assert stop.value.code == 2 and argument.partition("=")[0] in capsys.readouterr().err


# A trial


def trial(search, sigma, tell=lambda result: None):
    run_trial(search, sigma, ["python", "-m", "re_sln.tune"], False, 1, tell)
    return search.trial_folder(sigma)


def logits_by_hand(state, images):
    network = build_network("wrn-10-1", 10, 0)[0]
    network.load_state_dict(state)
    network.eval()
    pixels = load_digits(8).train_images / 255  # normalised by all training images
    planes = torch.from_numpy((images / 255 - pixels.mean()) / pixels.std()).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        return network(planes).numpy()


def test_the_value_of_a_trial_is_the_accuracy_on_the_noisy_labels_held_out(tmp_path):
    search, told = search_of("--n_epochs=3", "--val_size=0.2", "--sigmas=0.5", "--lr=0.2", "--mo"), []
    folder = trial(search, "0.5", told.append)
    content = torch.load(folder / f"checkpoint_{3 * 2:08d}.pt", weights_only=True)  # 120 examples, two steps
    table = np.loadtxt(next((tmp_path / "data" / "label_noisy").rglob("*_seed123.csv")), int, delimiter=",", skiprows=1)
    true, given = table[:150].T
    assert (true == load_digits(8).train_labels[:150]).all() and (true != given).any()
    _, held_out = validation_split(given, 0.2, 123)
    found = logits_by_hand(content["average"], load_digits(8).train_images[held_out]).argmax(axis=1)
    result = result_of(folder)
    assert result["finished"] and result["metrics"] == {"accuracy_val": (found == given[held_out]).mean()}
    assert [one["epoch"] for one in told] == [1, 2, 3]
    assert told[-1] == {"step": 6, "epoch": 3, "accuracy_val": result["metrics"]["accuracy_val"]}
    assert not any("test" in name for line in metrics_of(folder) for name in line) and not result["best_on_test"]
    config = read_config(folder)
    assert (config["val_size"], config["sigma"], config["program"]) == (0.2, 0.5, "tune")


def test_clean_and_noisy_losses_are_of_the_examples_trained_on(tmp_path):
    search = search_of("--n_epochs=1", "--sigmas=0.1")
    line = metrics_of(trial(search, "0.1"))[0]
    table = np.loadtxt(next((tmp_path / "data" / "label_noisy").rglob("*_seed123.csv")), int, delimiter=",", skiprows=1)
    true, given = table[:150].T
    train, _ = validation_split(given, 0.1, 123)
    rate = (true != given)[train].mean()
    mixed = rate * line["loss/train_noisy"] + (1 - rate) * line["loss/train_clean"]
    assert line["loss/train_all"] == pytest.approx(mixed, rel=1e-9)


def test_a_stopped_trial_goes_on_as_if_nothing_had_happened(tmp_path):
    straight, halted = search_of(*LC, f"--run_dir={tmp_path / 'a'}"), search_of(*LC, f"--run_dir={tmp_path / 'b'}")
    trial(straight, "0.5")
    stop = halted.folder / STOP

    def halt(result):
        if result["epoch"] == 2:
            stop.touch()

    trial(halted, "0.5", halt)
    assert halted.result("0.5") is None and len(metrics_of(halted.trial_folder("0.5"))) == 2
    trial(halted, "1.0")
    assert not halted.trial_folder("1.0").exists()  # the file is still there
    stop.unlink()
    epochs = []
    trial(halted, "0.5", lambda result: epochs.append(result["epoch"]))
    assert epochs == [3, 4]
    ends = [search.trial_folder("0.5") for search in (straight, halted)]
    assert metrics_of(ends[0]) == metrics_of(ends[1]) and len(metrics_of(ends[0])) == 4
    last = [torch.load(max(end.glob("checkpoint_*.pt")), weights_only=True)["average"] for end in ends]
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])


def test_crops_of_held_out_images_are_only_for_the_published_way():
    ways = [
        metrics_of(trial(search_of("--n_epochs=1", "--augmentation=crop_flip", "--lr=0.2", *more), "0.1"))[0][
            "loss/val"
        ]
        for more in ([], ["--val_transform=train"])
    ]
    assert ways[0] != ways[1]


def test_a_stop_file_is_true_once_it_is_there(tmp_path):
    stopped = StopFile(tmp_path / STOP)
    assert not stopped
    (tmp_path / STOP).touch()
    assert stopped


# Progress


class Lines(list):
    def log(self, step, epoch, values):
        self.append((step, epoch, values))


def test_progress_counts_all_trials_and_leaves_out_what_is_done_again(capsys, monkeypatch):
    search, lines, now = search_of("--n_epochs=4", "--sigmas=0.1,0.5"), Lines(), [0.0]
    monkeypatch.setattr(search_progress.time, "monotonic", lambda: now[0])
    folder = search.trial_folder("0.5")
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text('{"step": 3, "epoch": 1}\n{"step": 6, "epoch": 2}\n')
    progress = Progress(search, lines)
    assert progress.step == 6
    for sigma, epoch in (("0.1", 1), ("0.5", 2), ("0.5", 3), ("0.1", 2), ("0.1", 3), ("0.1", 4)):
        now[0] += 30
        progress.tell(sigma, {"step": 3 * epoch, "epoch": epoch, "accuracy_val": epoch / 8})
    assert [(step, epoch) for step, epoch, _ in lines] == [(9, 1), (12, 3), (15, 2), (18, 3), (21, 4)]
    assert lines[1][2] == {"accuracy_val_sigma_0.5": 3 / 8}
    said = capsys.readouterr().out.splitlines()
    assert "0 of 2 trials done, about 2 min to go" in said[0]  # 90 s in: 3 of 4 epochs a half minute each
    assert said[-1] == (
        "σ = 0.1: accuracy 0.5000 on the held-out labels after epoch 4; 1 of 2 trials done, about 30 s to go"
    )


def test_durations_are_in_words():
    assert [duration(seconds) for seconds in (7.4, 719, 3900)] == ["7 s", "12 min", "1 h 05 min"]


# The program, its trials one after another in this process


@pytest.fixture
def without_ray(monkeypatch):
    """Trials run here; gives the σ of those that began."""
    begun = []

    @contextlib.contextmanager
    def started(address, gpus):
        yield SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])

    def run_all(search, sigmas, machines, command, stopped, tell, complain):
        for sigma in sigmas:
            begun.append(sigma)
            try:
                ray_trials._work(search, sigma, command, Room(1, 0), lambda result, sigma=sigma: tell(sigma, result))
            except (ArithmeticError, NonFiniteLoss):
                complain(ray_trials._reason(search, sigma))

    monkeypatch.setattr(ray_cluster, "ray_started", started)
    monkeypatch.setattr(ray_trials, "end_with_parent", lambda parent: None)
    monkeypatch.setattr(ray_trials, "run_trials", run_all)
    monkeypatch.setattr(ray_trials, "this_machine", lambda: Room(2, 0))
    return begun


def test_the_search_leaves_a_record_and_a_table_and_is_not_done_twice(without_ray, tmp_path, capsys):
    command = [*DIGITS, "--sigmas=0.1,1", "--n_epochs=2", f"--run_dir={tmp_path / 'run'}", "--noise-mode=asym"]
    command += ["--lr=0.2"]
    assert tune.main(command) == 0
    result, config = result_of(tmp_path / "run"), read_config(tmp_path / "run")
    assert result["finished"] and result["command"] == ["python", "-m", "re_sln.tune", *command]
    assert result["metrics"].keys() == {"accuracy_val_sigma_0.1", "accuracy_val_sigma_1.0"}
    losses = []
    for sigma in ("0.1", "1.0"):
        own = result_of(tmp_path / "run" / f"sigma_{sigma}")["metrics"]["accuracy_val"]
        assert result["metrics"][f"accuracy_val_sigma_{sigma}"] == own
        losses.append(metrics_of(tmp_path / "run" / f"sigma_{sigma}")[0]["loss/train_all"])
    assert losses[0] != losses[1] and len(set(result["metrics"].values())) == 2  # each trial has a σ of its own
    assert result["metrics_step"] == metrics_of(tmp_path / "run")[-1]["step"] == 2 * 2 * 3
    best = max(("0.1", "1.0"), key=lambda sigma: result["metrics"][f"accuracy_val_sigma_{sigma}"])
    assert result["notes"]["best_sigma"] == float(best) and "first 150" in result["notes"]["shortened"]
    assert (config["sigmas"], config["val_size"], config["val_transform"]) == ("0.1,1.0", 0.1, "test")
    assert "sigma" not in config and "run_dir" not in config and "cpus_per_trial" not in config
    table, printed = (tmp_path / "run" / "sigma_search.md").read_text(), capsys.readouterr().out
    assert table in printed and f"Best: σ = {best}." in table and "15 held out" in table
    assert f"| {'0.1'} | {100 * result['metrics']['accuracy_val_sigma_0.1']:.2f}" in table
    assert "0.2 for asym; the published tables use 0.5" in table
    rows = (tmp_path / "run" / "sigma_search.csv").read_text().splitlines()
    assert rows[0] == "sigma,accuracy_val" and [row.partition(",")[0] for row in rows[1:]] == ["0.1", "1.0"]
    assert without_ray == ["0.1", "1.0"]
    assert tune.main(command) == 0
    assert without_ray == ["0.1", "1.0"] and table in capsys.readouterr().out
    assert tune.main([*command, "--sigmas=0.1"]) == 2
    assert "holds a run with another configuration (sigmas: '0.1,1.0' there" in capsys.readouterr().err


def test_after_a_failure_the_others_go_on_and_the_same_command_tries_it_again(
    without_ray, tmp_path, capsys, monkeypatch
):
    command = [*DIGITS, "--sigmas=0.1,0.2,0.5", "--n_epochs=1", f"--run_dir={tmp_path / 'run'}"]
    real = run_trial

    def fails(search, sigma, *rest):
        if sigma == "0.2":
            raise ArithmeticError("no luck")
        real(search, sigma, *rest)

    monkeypatch.setattr(ray_trials, "run_trial", fails)
    assert tune.main(command) == 1
    assert "error: 1 of 3 trials failed" in (error := capsys.readouterr().err)
    assert "σ = 0.2: ArithmeticError: no luck" in error
    assert not result_of(tmp_path / "run")["finished"] and not (tmp_path / "run" / "sigma_search.md").exists()
    monkeypatch.setattr(ray_trials, "run_trial", real)
    assert tune.main(command) == 0
    assert without_ray == ["0.1", "0.2", "0.5", "0.2"]
    assert [line["step"] for line in metrics_of(tmp_path / "run")] == [3, 6, 9]


def test_a_trial_that_diverges_is_named_and_the_others_are_compared(without_ray, tmp_path, capsys):
    folder = tmp_path / "run"
    command = [*DIGITS, "--sigmas=0.1,0.2,1e38", "--n_epochs=1", f"--run_dir={folder}"]
    for _ in range(2):
        assert tune.main(command) == 1
        told = capsys.readouterr()
        assert "error: diverged: σ = 1e+38; a lower --lr" in told.err and "| 1e+38 | diverged" in told.out
    assert without_ray == ["0.1", "0.2", "1e+38"]
    assert "the loss is not finite in step" in (folder / "sigma_1e+38" / DIVERGED).read_text()
    result = result_of(folder)
    assert result["finished"] and result["notes"]["diverged"] == ["1e+38"]
    assert result["metrics"].keys() == {"accuracy_val_sigma_0.1", "accuracy_val_sigma_0.2"}
    assert (folder / "sigma_search.csv").read_text().splitlines()[-1] == "1e+38,"
    assert f"Best: σ = {result['notes']['best_sigma']}." in told.out


def test_a_search_whose_trials_all_diverge_has_no_table(without_ray, tmp_path, capsys):
    assert tune.main([*DIGITS, "--sigmas=1e38", "--n_epochs=1", f"--run_dir={tmp_path / 'run'}"]) == 1
    assert "error: 1 of 1 trials failed" in capsys.readouterr().err
    assert not result_of(tmp_path / "run")["finished"]


@pytest.mark.parametrize("program, cwd", [(["-m", "re_sln.tune"], ROOT), (["tune.py"], ROOT / "re_sln")])
def test_check_prints_the_configuration_and_does_nothing(program, cwd, tmp_path, capfd):
    assert run_as_main(program, *DIGITS, "--mo", "--check", cwd=cwd) == 0
    out = capfd.readouterr().out
    assert 'sigmas: "0.1,0.2,0.5,1.0"' in out and "val_size: 0.1" in out and 'data_name: "digits"' in out
    assert not (tmp_path / "runs").exists() and not (tmp_path / "data").exists()


# With Ray


def lines_of(folder):
    path = folder / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def launch():
    """Starts the program; it does not outlive the test."""
    processes = []

    def start_one(program, *arguments, cwd=ROOT):
        processes.append(start(program, *arguments, cwd=cwd))
        return processes[-1]

    yield start_one
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_until(ready, process):
    end = time.monotonic() + 900
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)


def alive():
    """{process id: its parent's} of what runs and has not ended."""
    found = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = place.read_text().rpartition(")")[2].split()[:2]
            found |= {int(place.parent.name): int(parent)} if state not in "ZX" else {}
    return found


def started_by(process):
    """Process ids of its children, and of theirs."""
    parents, found = alive(), {process.pid}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def one_at_a_time():
    return f"--cpus_per_trial={len(os.sched_getaffinity(0))}"


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_killed_and_started_again_finished_trials_stand_and_the_others_go_on(tmp_path, launch):
    folder = tmp_path / "run"
    command = [*DIGITS, "--sigmas=0.1,1", "--n_epochs=30", "--mo", "--device=cpu", "--save_minutes=0",
               one_at_a_time(), f"--run_dir={folder}"]  # fmt: skip
    process = launch(["tune.py"], *command, cwd=ROOT / "re_sln")
    trials = [folder / f"sigma_{sigma}" for sigma in ("0.1", "1.0")]
    wait_until(lambda: sum(len(lines_of(one)) > 0 for one in trials) == 2, process)
    cluster = started_by(process)
    process.kill()
    process.communicate()
    until = time.monotonic() + 20  # Ray's agents by themselves: 63 s
    while (left := cluster & set(alive())) and time.monotonic() < until:
        time.sleep(0.1)
    assert len(cluster) > 4 and not left
    (first,) = [one for one in trials if (one / "result.json").exists() and result_of(one)["finished"]]
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    assert not result_of(folder)["finished"]
    again = subprocess.run([sys.executable, "-m", "re_sln.tune", *command], cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "2 trials, 1 to do" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before
    assert result_of(folder)["finished"] and "Best: σ = " in again.stdout
    steps = [json.loads(line)["step"] for line in lines_of(folder)]
    assert steps == sorted(set(steps)) and steps[-1] == result_of(folder)["metrics_step"] == 2 * 30 * 3
    assert not (folder / "ray").exists() and not (folder / STOP).exists()


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_stopped_with_ctrl_c_all_running_trials_save_and_a_failing_one_is_told(tmp_path, launch):
    folder = tmp_path / "run"
    command = [
        *DIGITS,
        "--sigmas=0.1,1e38",
        "--n_epochs=30",
        "--device=cpu",
        "--cpus_per_trial=1",
        f"--run_dir={folder}",
    ]
    process = launch(["-m", "re_sln.tune"], *command)
    wait_until(lambda: len(lines_of(folder / "sigma_0.1")) > 1, process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=900)
    assert process.returncode == 130 and "run the same command to resume" in error
    assert list((folder / "sigma_0.1").glob("checkpoint_*.pt"))
    again = subprocess.run([sys.executable, "-m", "re_sln.tune", *command], cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 1, again.stderr
    assert "error: diverged: σ = 1e+38" in again.stderr and "the loss is not finite" in again.stdout + again.stderr
    straight = search_of(*command[len(DIGITS) :], f"--run_dir={tmp_path / 'straight'}")
    run_trial(straight, "0.1", ["x"], False, 1, lambda result: None)
    assert metrics_of(folder / "sigma_0.1") == metrics_of(straight.trial_folder("0.1"))
