"""A cluster of Ray's that starts slowly, does not start, or is killed: with stand-ins for Ray."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from common import ray_cluster

ROOT = Path(__file__).resolve().parents[2]
SLEEPER = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


def ray_with(get_node, init=lambda **_: None):
    services = SimpleNamespace(get_node=get_node)
    return SimpleNamespace(_private=SimpleNamespace(services=services), init=init, shutdown=lambda: None)


def test_a_node_may_take_longer_to_start_than_ray_waits(monkeypatch):
    """Ray asks until 30 seconds are over: it must not get an answer before the node is there."""
    asked = []

    def get_node(*node):
        asked.append(node)
        if len(asked) < 4:
            raise RuntimeError("not yet")
        return "there"

    monkeypatch.setattr(ray_cluster, "POLL_SECONDS", 0.0)
    ray = ray_with(get_node)
    ray.init = lambda **_: asked.append(ray._private.services.get_node("address", "id"))
    ray_cluster._init(ray, None, {})
    assert asked == [("address", "id")] * 4 + ["there"]
    assert ray._private.services.get_node is get_node


def test_a_node_that_is_killed_while_it_starts_is_not_waited_for(monkeypatch):
    nodes: list[subprocess.Popen] = []

    def get_node(*_):
        nodes[-1].kill()
        raise RuntimeError("not yet")

    def init(**_):
        nodes.append(subprocess.Popen(SLEEPER))
        ray._private.services.get_node("address", "id")

    ray = ray_with(get_node, init)
    monkeypatch.setattr(ray_cluster, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(ray_cluster, "START_SECONDS", 10.0)
    started = time.monotonic()
    with pytest.raises(OSError, match="Ray does not start: not yet"):
        ray_cluster._init(ray, None, {})
    assert time.monotonic() - started < 10


def test_a_start_that_fails_leaves_nothing_for_the_next_one():
    left: list[subprocess.Popen] = []

    def init(**_):
        assert not any(one.poll() is None for one in left)
        left.append(subprocess.Popen(SLEEPER))
        raise RuntimeError("no luck")

    with subprocess.Popen(SLEEPER) as other:
        with pytest.raises(OSError, match="Ray does not start: no luck"):
            ray_cluster._init(ray_with(None, init), None, {})
        assert len(left) == ray_cluster.ATTEMPTS
        assert [one.wait(10) for one in left] == [-9] * len(left)
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("killed", [True, False])
def test_without_the_head_of_its_cluster_a_program_ends_in_a_sentence(killed, tmp_path):
    program = (
        "import subprocess, sys, time; from common.ray_cluster import _needed\n"
        f"one = subprocess.Popen({SLEEPER!r})\n"
        "with _needed(one.pid, sys.argv[1]):\n"
        "    if sys.argv[2] == 'True': one.kill(); time.sleep(60)\n"
        "one.kill(); one.wait(); time.sleep(0.2); print('over')"
    )
    (tmp_path / "ray").mkdir()
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "ray"), str(killed)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert time.monotonic() - began < 50
    said = "error: a process of Ray's was killed; the same command resumes\n"
    assert (done.returncode, done.stdout, done.stderr) == ((1, "", said) if killed else (0, "over\n", ""))
    assert (tmp_path / "ray").exists() != killed
