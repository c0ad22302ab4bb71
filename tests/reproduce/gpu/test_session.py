"""What is done in the minutes given, on a simulated machine with a simulated clock."""

import json

import pytest

from reproduce.gpu import plan, summary
from reproduce.gpu.session import RESERVE
from tests.reproduce.gpu.simulated import Machine

FIRST = [f"sym-{model}/seed_123" for model in ("ce", "sln", "sln-mo", "sln-mo-lc")]


def pieces(machine, minutes=10.0, most=20):
    """Calls until nothing is left to do; how many."""
    for number in range(1, most):
        begun = machine.now
        session = machine.session()
        session.piece(60 * minutes)
        assert machine.now - begun <= 60 * minutes, "a piece is not longer than it may be"
        if not session.to_do():
            return number
    raise AssertionError("it does not end")


def test_half_an_hour_is_four_models_and_the_kernels(tmp_path):
    machine = Machine(tmp_path, epoch=1.0, minutes=30)
    pieces(machine)
    session = machine.session()
    assert machine.trained() == FIRST
    assert all(session.done(item) for item in plan.everything()[:6])
    assert machine.now <= 30 * 60
    assert [command[2] for command in machine.commands if "train_cifar" not in command[2]] == [
        "benchmarks.sln", "benchmarks.moco_kernels",
    ]  # fmt: skip


def test_a_fast_gpu_goes_through_the_other_noises_too(tmp_path):
    machine = Machine(tmp_path, epoch=0.25, start=5, minutes=30)
    pieces(machine)
    trained = machine.trained()
    assert trained[:4] == FIRST
    assert len(trained) > 8 and trained[4].startswith("asym-ce")
    session = machine.session()
    assert all(session.done(item) for item in plan.everything() if item.name in trained), "none is begun in vain"
    assert machine.now <= 30 * 60


def test_a_slow_gpu_does_whole_runs_only(tmp_path):
    machine = Machine(tmp_path, epoch=4.0, minutes=30)
    pieces(machine)
    session = machine.session()
    assert machine.trained() == FIRST[:1]
    assert session.done(plan.everything()[1]) and session.done(plan.Item("kernels"))


def test_a_run_that_a_piece_cut_short_is_resumed_by_the_next(tmp_path):
    machine = Machine(tmp_path, epoch=1.8, minutes=40)
    machine.session().piece(600)
    session = machine.session()
    (running,) = [i for i in plan.everything() if i.kind == "run" and 0 < session.epochs_done(i) < 300]
    before = session.epochs_done(running)
    session.piece(600)
    assert session.epochs_done(running) == 300
    commands = [c for c in machine.commands if any(running.name in word for word in c)]
    assert len(commands) == 2 and commands[0] == commands[1] and before > 0


def test_speeds_that_were_measured_take_the_place_of_the_guess(tmp_path):
    machine = Machine(tmp_path, epoch=0.5, minutes=30)
    session = machine.session()
    run = plan.everything()[1]
    guess = session.seconds_of(run)
    session.do(plan.Item("speed"), 500)
    measured = session.seconds_of(run)
    assert guess - measured == pytest.approx(150)
    session.do(run, 1000)
    assert session.state["epoch_seconds"] == pytest.approx((300 * 0.5 + 10) / 300)


def test_no_measurement_is_begun_that_cannot_be_ended(tmp_path):
    machine = Machine(tmp_path, minutes=30)
    machine.session().piece(plan.SPEED_SECONDS + RESERVE - 1)
    assert not [command for command in machine.commands if command[2] == "benchmarks.sln"]
    assert machine.trained() == FIRST[:1], "a run is resumable: it takes the place"


def test_a_setting_that_fails_gives_way_to_the_next_and_a_run_that_fails_to_the_next_run(tmp_path):
    machine = Machine(tmp_path, minutes=30, failing={"--capture_steps": 1, "--sigma=0": 1})
    pieces(machine)
    session = machine.session()
    assert set(session.state["struck"]) == {"captured", "compiled, captured"}
    assert "--capture_steps cannot be" in session.state["struck"]["captured"]
    assert {name.partition("/")[0].partition("-")[2] for name in session.state["failed"]} == {"ce"}
    assert session.done(plan.everything()[2])
    assert session.setting() == "as it is"


def test_a_mistake_in_the_command_is_not_the_settings(tmp_path):
    machine = Machine(tmp_path, minutes=30, failing={"--noise_mode=sym": 2})
    machine.session().piece(600)
    session = machine.session()
    assert session.state["struck"] == {} and list(session.state["failed"])[:4] == FIRST


def test_compiled_runs_are_put_aside_when_compiling_is_given_up(tmp_path):
    machine = Machine(tmp_path, minutes=30)
    session = machine.session()
    run = plan.everything()[1]
    session.folder(run).mkdir(parents=True)
    session.failed(run, "compiled, captured", "why")
    assert not session.folder(run).exists()
    assert session.folder(run).with_name("run-failed").exists()


def test_no_gpu_time_is_used_beyond_the_minutes(tmp_path):
    machine = Machine(tmp_path, epoch=1.0, minutes=5)
    pieces(machine, 10.0)
    assert machine.now <= 300
    used = machine.session().state["used"]
    machine.session().piece(600)
    assert machine.session().state["used"] == used


def test_minutes_before_an_interruption_are_used_too(tmp_path):
    machine = Machine(tmp_path, minutes=30)
    session = machine.session()

    def interrupted(*_):
        machine.now += 240
        raise KeyboardInterrupt

    session.run = interrupted
    with pytest.raises(KeyboardInterrupt):
        session.piece(600)
    assert machine.session().state["used"] == 240


def test_a_piece_that_is_too_short_begins_nothing(tmp_path):
    machine = Machine(tmp_path, minutes=30)
    assert machine.session().piece(60) == 0
    assert machine.session().piece(200) > 0


def test_the_fastest_setting_counts_what_its_compilation_takes():
    seconds = {"captured": 0.0030, "compiled, captured": 0.0029}
    assert plan.fastest(seconds, 300) == "captured"
    assert plan.fastest(seconds | {"compiled, captured": 0.0015}, 300) == "compiled, captured"
    assert plan.fastest(seconds | {"compiled, captured": 0.0015}, 300, ["compiled, captured"]) == "captured"
    assert plan.fastest({}, 300) == "captured"
    assert plan.fastest({}, 300, ["captured", "compiled, captured", "as it is"]) == "as it is"


def test_the_summary_has_curves_at_the_published_epochs(tmp_path):
    machine = Machine(tmp_path / "work", epoch=1.0, minutes=30)
    pieces(machine)
    found = summary.write(machine.session(), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "evidence.json").read_text())["runs"][0]["epochs"] == 300
    rows = (tmp_path / "out" / "evidence.md").read_text().splitlines()
    assert len(rows) == 2 + len(found["runs"]) == 6
    assert rows[2].startswith("| sym-ce/seed_123 | cifar10-jpeg | 300 | 0.0 | 0.1 | 0.2 | 1.0 | 5.0 |")
    assert found["to_do"] == [] and found["failed"] == {}
