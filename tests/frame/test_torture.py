"""The frame of `make torture`: which campaigns run, in what time, and what is written down."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import tests.torture.__main__ as torture
from tests.frame.test_help import programs
from tests.torture import command_lines, page, two_at_once
from tests.torture.campaigns import CAMPAIGNS, PYTORCH, TENSORFLOW, Campaign
from tests.torture.programs import PROGRAMS, Program


@pytest.fixture
def called(monkeypatch):
    """Three campaigns in the place of the real ones, and what they were called with."""
    calls: list[tuple] = []
    found = {
        "good": {"counts": {"cases": 3}, "failures": []},
        "bad": {"counts": {"cases": 5}, "failures": ["case 2: Traceback"]},
        "of-torch": {"counts": {"cases": 1}, "failures": []},
    }

    def function(self):
        def campaign(seed, count, seconds):
            calls.append((self.place, seed, count, seconds))
            return found[self.place]

        return campaign

    monkeypatch.setattr(Campaign, "function", function)
    monkeypatch.setattr(torture, "time", SimpleNamespace(monotonic=lambda: 1000.0))  # no campaign takes any time
    monkeypatch.setattr(sys, "prefix", f"/x/{TENSORFLOW}")
    for name in list(CAMPAIGNS):
        monkeypatch.delitem(CAMPAIGNS, name)
    monkeypatch.setitem(CAMPAIGNS, "good", Campaign("good", 30))
    monkeypatch.setitem(CAMPAIGNS, "bad", Campaign("bad", 50, (TENSORFLOW, PYTORCH)))
    monkeypatch.setitem(CAMPAIGNS, "of-torch", Campaign("of-torch", 10, (PYTORCH,)))
    return calls


def test_every_campaign_of_this_environment_runs_within_the_minutes_and_a_failure_ends_with_1(called, capsys):
    assert torture.main(["--minutes", "1", "--seed", "7"]) == 1
    assert [call[:3] for call in called] == [("good", 7, 30), ("bad", 7, 50)]
    assert [call[3] for call in called] == [30, 60]
    said = capsys.readouterr().out
    assert "case 2: Traceback" in said and "3 cases" in said and "failures in: bad" in said


@pytest.mark.parametrize("words", [["--count=0"], ["--count=-1"], ["--minutes=-1"], ["--minutes=nan"]])
def test_counts_and_minutes_that_are_none_are_refused(called, words, capsys):
    with pytest.raises(SystemExit, match="2"):
        torture.main(words)
    assert "or more" in capsys.readouterr().err and not called


def test_programs_to_kill_beside_another_campaign_are_refused(called, capsys):
    with pytest.raises(SystemExit, match="2"):
        torture.main(["good", "--only=ieg"])
    assert "name no other campaign than kills" in capsys.readouterr().err and not called


def test_the_other_environment_leaves_out_what_needs_none(called, monkeypatch):
    monkeypatch.setattr(sys, "prefix", f"/x/{PYTORCH}")
    assert torture.main([]) == 1
    assert [call[0] for call in called] == ["bad", "of-torch"]


def test_named_campaigns_run_alone_and_keep_the_others_in_the_record(called, tmp_path, monkeypatch):
    out = tmp_path / "new" / "torture.json"
    torture.main(["bad", "--out", str(out)])
    monkeypatch.setattr(sys, "prefix", f"/x/{PYTORCH}")
    assert torture.main(["good", "of-torch", "--count", "4", "--out", str(out)]) == 0
    assert [call[2] for call in called] == [50, 4, 4]
    record = json.loads(out.read_text())
    assert {name: list(where) for name, where in record.items()} == {
        "bad": [TENSORFLOW], "good": [PYTORCH], "of-torch": [PYTORCH],
    }  # fmt: skip
    (bad,) = record["bad"][TENSORFLOW]
    assert bad["counts"] == {"cases": 5} and bad["failures"] == ["case 2: Traceback"]
    assert bad["command"] == f"python -m tests.torture bad --out {out}" and bad["date"] and bad["hardware"]


def test_what_a_campaign_raises_is_a_failure_and_the_next_one_runs(called, monkeypatch, capsys):
    monkeypatch.setitem(CAMPAIGNS, "good", Campaign("no such function", 1))
    assert torture.main(["good", "bad"]) == 1
    assert "the campaign itself failed" in capsys.readouterr().out
    assert len(called) == 2


@pytest.mark.parametrize("words", [["none"], ["of-torch"]])
def test_a_name_that_cannot_run_here_is_refused(called, words, capsys):
    with pytest.raises(SystemExit, match="2"):
        torture.main(words)
    assert words[0] in capsys.readouterr().err and not called


def test_every_registered_campaign_is_there():
    for campaign in CAMPAIGNS.values():
        module, _, name = campaign.place.partition(":")
        source = Path(torture.__file__).with_name(f"{module}.py").read_text()
        assert f"\ndef {name}(seed: int, count: int, seconds: float" in source


def test_a_campaign_that_is_given_no_time_is_given_a_second(called):
    torture.main(["--minutes", "0"])
    assert [call[3] for call in called] == [0.5, 1]


def test_command_lines_of_every_program_are_fuzzed():
    modules = {name for kind, name in programs() if kind == "module"}
    assert {program.module for program in PROGRAMS} == modules
    assert {name for kind, name in programs() if kind == "file"} <= {
        module.replace(".", "/", 1) + ".py" for module in modules
    }


def test_fuzzed_command_lines_are_refused_in_one_sentence():
    chosen = tuple(program for program in PROGRAMS if not program.environments)
    found = command_lines.campaign(0, 30 * len(chosen), 1000, chosen)
    assert found["failures"] == []
    assert found["counts"]["command lines"] == 30 * len(chosen)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("raise ValueError('no')", "raised"),
        ("while True: pass", "slow"),
        ("sys.exit(3)", "ended with 3"),
        ("return 2", "without a sentence"),
        ("print('error: ' + 'x' * 3000, file=sys.stderr); return 2", "characters"),
        ("print('error: Traceback (most recent call last)', file=sys.stderr); return 1", "a library's words"),
        ("begin()", "began although --check"),
    ],
)
def test_the_campaign_of_command_lines_finds(body, kind, monkeypatch, tmp_path):
    (tmp_path / "careless.py").write_text(
        f"import sys\ndef begin(): pass\ndef main(argv):\n    if '--help' in argv: return 0\n    {body}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    if kind == "slow":
        monkeypatch.setattr(command_lines, "SECONDS_A_LINE", 0.05)
    program = Program("careless", ("--seed=1",), ("careless:begin",), check=True)
    found = command_lines.campaign(0, 3, 5, (program,))
    del sys.modules["careless"]
    assert found["failures"] and all(kind in failure for failure in found["failures"])


@pytest.mark.parametrize("name", ["two-at-once", "killed-builder"])
def test_a_slice_of_a_campaign_of_processes(name):
    """In a process of its own: it forks, which one with threads of TensorFlow should not."""
    command = [sys.executable, "-m", "tests.torture", name, "--count", str(len(two_at_once.PAIRS))]
    done = subprocess.run(command, cwd=Path(torture.__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"0 failures  .*[1-9]", done.stdout)


def test_the_page_has_the_table_of_its_record():
    text, record = page.PAGE.read_text(), json.loads(page.RECORD.read_text())
    assert page.filled(text, record) == text, "run `python -m tests.torture.page`"
    assert page.table(record).count("\n") == 2 + sum(map(len, record.values()))
    assert not [name for name, of in record.items() for runs in of.values() if any(one["failures"] for one in runs)]


def test_records_of_one_campaign_are_summed_and_the_same_command_counts_once(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "RECORD", tmp_path / "reliability.json")
    monkeypatch.setattr(page, "PAGE", tmp_path / "reliability.md")
    page.PAGE.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    for count, seed in ((1, 3), (2000, 3), (30, 4)):
        counts = {"cases": count, "SIGKILL to the program": 7}
        one = {"counts": counts, "failures": [], "seed": seed, "date": "2020-01-01", "hardware": "2 cores"}
        new = {"a": {"pytorch": [one | {"command": f"c a --seed {seed} --out /x"}]}}
        (tmp_path / "new.json").write_text(json.dumps(new))
        page.main([str(tmp_path / "new.json")])
    text = page.PAGE.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert re.search(r"\| a +\| pytorch +\| 2,030 cases \| 0 +\| 3, 4 +\| 2020-01-01, 2 cores \|", text)
    commands = [one["command"] for one in json.loads(page.RECORD.read_text())["a"]["pytorch"]]
    assert commands == ["c a --seed 3", "c a --seed 4"]
