"""The campaign of kills sees what it is meant to see, and (slow) a slice of it finds nothing."""

import importlib.util
import random
import sys
import time

import pytest

from tests.torture import kills
from tests.torture.kill_programs import PROGRAMS, Program
from tests.torture.kills import Tally, campaign, torment

# A program of ten steps with a state; what goes wrong is its first word.
FAKE = """
import json, pathlib, subprocess, sys, time
fault, folder = sys.argv[1], pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
state, log = folder / "state", folder / "metrics.jsonl"
step = int(state.read_text()) if state.exists() else 0
(folder / "result.json").write_text("{}")
for _ in range(2 * (fault == "orphan")):
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(30)"])
if fault == "sulks" and step:
    raise ValueError("no")
while step < 10:
    step += 1
    if fault == "torn":
        log.write_text('{"step')
    if step == 3 and fault in ("torn", "sulks") and not (folder / "again").exists():
        (folder / "again").touch()
        time.sleep(60)  # here it is killed
    time.sleep(0.05)
    line = {"step": step, "random": time.time_ns() if fault == "differs" else 0}
    for path, text in ((log, json.dumps(line) + "\\n"), (state, str(step))):
        (folder / "new").write_text(text)
        (folder / "new").replace(path)  # whole, whenever it is killed
"""


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        ("none", None),
        ("orphan", "leaves program"),
        ("torn", "metrics.jsonl is half written"),
        ("sulks", "ends with 1"),
        ("differs", "differs in . metrics.jsonl"),
    ],
)
def test_what_goes_wrong_is_found(fault, failure, tmp_path, monkeypatch):
    result = {"metrics": 0, "metrics_step": 0, "best_on_test": 0, "finished": True, "config_hash": 0, "run_id": 0}
    monkeypatch.setattr("tests.torture.kill_programs.read_result", lambda folder: result)
    monkeypatch.setattr(kills, "GONE_SECONDS", 0.3)
    fake, shared = tmp_path / "fake.py", tmp_path / "all"
    shared.mkdir()
    fake.write_text(FAKE)

    def words(folder, shared):
        return ["-S", str(fake), "none" if folder.parent == shared else fault, str(folder)]

    program = Program("any", words)
    monkeypatch.setitem(PROGRAMS, "fake", program)
    tally = Tally()
    # Of this seed the first kill comes half-way: also a run that is faster than the reference is hit by it.
    torment("fake", random.Random(19), 8, time.monotonic() + 30, shared, {}, tally, None)
    assert tally.kills
    if failure is None:
        assert tally.failures == []
    else:
        assert any(failure in said for said in tally.failures), tally.failures


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_slice_of_the_campaign_finds_nothing():
    here, framework = ("sln", "torch") if "pytorch" in sys.prefix else ("supervised", "tensorflow")
    if not importlib.util.find_spec(framework):
        pytest.skip("neither framework is here")
    found = campaign(5, 6, 30, (here,))
    assert found["failures"] == []
    assert found["counts"]["kills"] > 1 and found["counts"]["finished runs compared"]
