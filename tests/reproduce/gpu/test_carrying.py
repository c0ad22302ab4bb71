"""Results in few files, and a later piece on another machine."""

import pytest

from common.errors import DataError
from reproduce.gpu import carrying, plan
from tests.reproduce.gpu.simulated import Machine


def test_another_machine_resumes_from_what_the_first_left(tmp_path, monkeypatch):
    monkeypatch.setattr(carrying, "PART", 3000)
    machine = Machine(tmp_path / "one", epoch=1.8, minutes=40)
    machine.session().piece(600)
    (running,) = [i for i in plan.everything() if 0 < machine.session().epochs_done(i) < 300 and i.kind == "run"]
    before = machine.session().epochs_done(running)
    carrying.bundle(machine.work, tmp_path / "out")
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert len(sizes) <= 8 and max(size for name, size in sizes.items() if name.startswith("state")) <= 3000
    assert len(sizes) > 2, "the state is in several parts"

    carrying.unbundle(tmp_path / "out", tmp_path / "other" / "two")
    other = Machine(tmp_path / "other" / "two", epoch=1.8, minutes=40)
    assert other.session().epochs_done(running) == before
    assert other.session().state == machine.session().state
    names = {path.name for path in other.session().folder(running).iterdir()}
    assert names == {path.name for path in machine.session().folder(running).iterdir()}
    other.session().piece(600)
    assert other.session().done(running)


def test_finished_runs_leave_no_checkpoint(tmp_path):
    machine = Machine(tmp_path / "work", epoch=0.1, start=1, epochs=20, minutes=6)
    machine.session().piece(360)
    carrying.bundle(machine.work, tmp_path / "out")
    assert not list((tmp_path / "out").glob("state*"))


def test_a_run_that_was_put_aside_leaves_its_record_only(tmp_path):
    machine = Machine(tmp_path / "work", epoch=1.8, minutes=40)
    machine.session().piece(600)
    session = machine.session()
    (running,) = [i for i in plan.everything() if i.kind == "run" and 0 < session.epochs_done(i) < 300]
    session.failed(running, "compiled, captured", "why")
    carrying.bundle(machine.work, tmp_path / "out")
    assert not list((tmp_path / "out").glob("state*"))


def test_work_that_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "session.json").write_text("{}")
    carrying.unbundle(tmp_path / "nothing", tmp_path / "work")
    assert (tmp_path / "work" / "session.json").read_text() == "{}"


def test_a_folder_without_results_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"holds no results to resume .*: name the --out"):
        carrying.unbundle(tmp_path, tmp_path / "work")
