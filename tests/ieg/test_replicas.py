"""What is the same on one device and on two, and what belongs to each replica."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
METHODS = ("supervised", "l2r", "ieg", "fsr")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    path = tmp_path_factory.mktemp("replicas") / "results.npz"
    command = [sys.executable, "-m", "tests.ieg.replicas_program", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict = {}
    with np.load(path) as file:
        for key in file.files:
            method, run, name = key.split("|")
            found.setdefault((method, run), {})[name] = file[key]
    return found


@pytest.mark.parametrize("method", METHODS)
def test_two_replicas_with_the_same_examples_do_what_one_does(runs, method):
    """Losses are divided by the replicas and gradients summed: the same share on each adds up to one whole step."""
    one, two = runs[method, "single"], runs[method, "twice"]
    assert runs[method, "kinks"]["distance"] > 1e-5
    for name in one:
        if ":" in name:
            np.testing.assert_allclose(two[name], one[name], rtol=2e-4, atol=2e-6, err_msg=name)
    np.testing.assert_allclose(two["weights"], np.repeat(one["weights"], 2, axis=0), rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(two["loss/net"], np.repeat(one["loss/net"], 2), rtol=2e-4)


@pytest.mark.parametrize("method", METHODS)
def test_every_replica_holds_the_same(runs, method):
    assert runs[method, "apart"]["equal"]


def test_fsr_keeps_what_every_replica_found(runs):
    """Examples 4-7 were on the first replica, 8-11 on the second; the probe batch was the same on both."""
    apart, single, other = runs["fsr", "apart"], runs["fsr", "single"], runs["fsr", "other"]
    for name in ("memory:scores", "memory:seen"):
        assert np.flatnonzero(apart[name]).tolist() == list(range(4, 12))
    assert np.flatnonzero(apart["memory:running_logits"].any(1)).tolist() == list(range(4, 12))
    # After the first of two steps from the same weights the replicas hold what each found alone; the second moves on.
    alone = single["memory:scores"] + other["memory:scores"]
    assert np.corrcoef(apart["memory:scores"][4:12], alone[4:12])[0, 1] > 0.9
    assert int(apart["memory:step"]) == 2


@pytest.mark.parametrize("method", [method for method in METHODS if method != "fsr"])
def test_every_replica_normalises_its_own_weights(runs, method):
    for weights in runs[method, "apart"]["weights"]:
        assert weights.sum() == pytest.approx(1, abs=1e-2) or not weights.any()


def test_batch_norm_is_per_replica(runs):
    """Two halves on two devices are not one whole batch on one device, because each half has its own statistics."""
    apart, joined = runs["supervised", "apart"], runs["supervised", "joined"]
    difference = max(np.abs(apart[name] - joined[name]).max() for name in apart if name.startswith("parameters:"))
    assert difference > 1e-4


def test_moving_averages_are_the_mean_over_replicas(runs):
    """After the first of the steps both runs start from, the stem's statistics differ only by the examples."""
    apart = runs["supervised", "apart"]
    single, other = runs["supervised", "single"], runs["supervised", "other"]
    name = next(key for key in apart if key.startswith("moving_mean:"))
    between = (single[name] + other[name]) / 2
    assert np.abs(apart[name] - between).max() < 0.2 * np.abs(single[name] - other[name]).max()


@pytest.mark.parametrize("method", METHODS)
def test_evaluation_counts_every_image_once(runs, method):
    """Seven images in batches of 2 on one device, 4 on two: the last batch is not whole."""
    for run in ("single", "twice"):
        assert 7 * runs[method, run]["accuracy"] == pytest.approx(round(7 * float(runs[method, run]["accuracy"])))
    assert runs[method, "single"]["accuracy"] == runs[method, "twice"]["accuracy"]


def test_the_average_of_the_weights_is_scored_as_such_on_two_devices(runs):
    """Of the seven images one is of class 3, none of class 9."""
    assert runs["supervised", "averaged"]["accuracies"].tolist() == [0, 1 / 7]
