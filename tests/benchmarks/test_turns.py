"""Processes that take a step each when it is their turn."""

import sys

import pytest

from benchmarks.turns import in_turns

STEPS = "from benchmarks.turns import answer\ndef steps():\n    while True: yield\nanswer(steps())"


def test_every_process_answers_for_every_step_after_the_warm_up():
    command = [sys.executable, "-c", STEPS]
    answers = in_turns({"a": command, "b": command}, steps=2, warmup=1)
    assert {name: len(own) for name, own in answers.items()} == {"a": 2, "b": 2}
    assert all(own["seconds"] > 0 and own["peak_memory_bytes"] > 1e6 for own in answers["a"] + answers["b"])


def test_a_process_that_ends_is_named():
    with pytest.raises(RuntimeError, match="the process of 'a' ended with 3"):
        in_turns({"a": [sys.executable, "-c", "raise SystemExit(3)"]}, steps=2, warmup=1)
