"""Starting weights from a run's checkpoint and from one that TensorFlow wrote."""

import numpy as np
import pytest
import tensorflow as tf

from common.errors import UsageError
from ieg.checkpoints import checkpoint, pretrained
from ieg.checkpoints.checkpoint import Checkpoint
from ieg.experiment import start_from_pretrained
from ieg.networks.network import build_network
from ieg.settings.config import resolve
from ieg.settings.flags import parse_flags
from ieg.training.state import TrainState
from tests.ieg.small_runs import folder_of, last_checkpoint, run


def network(classes=10, name="resnet18"):
    return build_network(name, classes, image_size=16)


def random_arrays(net, seed=0):
    """A state whose every tensor is random, as a checkpoint holds it."""
    random = np.random.default_rng(seed)
    state = TrainState(net, 0)
    return {name: random.normal(size=value.shape).astype(np.float32) for name, value in state.arrays().items()}


@pytest.fixture
def folder(tmp_path):
    """A run folder with two checkpoints; the newest one counts."""
    for step in (3, 7):
        checkpoint.save(tmp_path, Checkpoint(step, random_arrays(network(), step), {}))
    return tmp_path


def tensorflow_checkpoint(path, net, arrays):
    """The same weights under the names that TensorFlow 1 gives to layers, in no particular order."""
    named = {}
    convs = [name for name, spec in net.specs.items() if spec.kind == "conv"]
    for kind, layers in (("conv2d", convs), ("batch_normalization", list(net.batch_norms))):
        for number, name in enumerate(layers):
            there = f"resnet_model/{kind}_{number}" if number else f"resnet_model/{kind}"
            if kind == "conv2d":
                named[f"{there}/kernel"] = arrays[f"parameters:{name}"]
                named[f"{there}/kernel/Momentum"] = np.zeros(3, np.float32)
                continue
            for part in ("gamma", "beta"):
                named[f"{there}/{part}"] = arrays[f"parameters:{name}/{part}"]
            for part in ("moving_mean", "moving_variance"):
                named[f"{there}/{part}"] = arrays[f"{part}:{name}"]
    for part in ("kernel", "bias"):
        named[f"resnet_model/dense/{part}"] = arrays[f"parameters:classifier/{part}"]
    names = sorted(named, reverse=True)
    tf.raw_ops.SaveV2(
        prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=[named[n] for n in names]
    )


def assert_loaded(weights, arrays, net, classifier):
    expected = [name for name in net.specs if classifier or not name.startswith("classifier")]
    assert list(weights.parameters) == expected
    for name in expected:
        np.testing.assert_array_equal(weights.parameters[name], arrays[f"parameters:{name}"])
    for name in net.batch_norms:
        np.testing.assert_array_equal(weights.moving[name][0], arrays[f"moving_mean:{name}"])
        np.testing.assert_array_equal(weights.moving[name][1], arrays[f"moving_variance:{name}"])


@pytest.mark.parametrize("mode", ["imagenet", "all"])
def test_the_newest_checkpoint_of_a_run_and_a_named_one(folder, mode):
    for path, step in ((folder, 7), (folder / "checkpoint_00000003.npz", 3)):
        weights = pretrained.load(path, mode, network())
        assert_loaded(weights, random_arrays(network(), step), network(), mode == "all")


def test_another_number_of_classes_goes_without_the_classifier_only(folder):
    assert_loaded(pretrained.load(folder, "imagenet", network(50)), random_arrays(network(), 7), network(50), False)
    with pytest.raises(UsageError, match=r"classifier/kernel \(64, 10\) instead of \(64, 50\).*leaves the classifier"):
        pretrained.load(folder, "all", network(50))


def test_another_network_is_refused(folder):
    with pytest.raises(UsageError, match="does not fit resnet32 with 10 classes"):
        pretrained.load(folder, "imagenet", network(name="resnet32"))


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_checkpoint_that_tensorflow_wrote(tmp_path, name):
    net = network(12, name)
    arrays = random_arrays(net)
    tensorflow_checkpoint(tmp_path / "model.ckpt-5", net, arrays)
    assert_loaded(pretrained.load(tmp_path / "model.ckpt-5", "all", net), arrays, net, True)
    assert_loaded(pretrained.load(tmp_path / "model.ckpt-5", "imagenet", network(50, name)), arrays, net, False)
    with pytest.raises(UsageError, match="resnet32 has 31 convolutions and 31 batch norms"):
        pretrained.load(tmp_path / "model.ckpt-5", "all", network(12, "resnet32"))


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "nothing", tmp_path / "nothing.npz"):
        with pytest.raises(UsageError, match="is not a checkpoint: expected a run folder"):
            pretrained.content_hash(path)
    (tmp_path / "damaged.npz").write_text("not a zip file")
    with pytest.raises(UsageError, match=r"damaged\.npz cannot be read"):
        pretrained.load(tmp_path / "damaged.npz", "all", network())


def test_a_state_starts_from_them(folder):
    arguments = ["--dataset=digits", "--method=supervised", "--network_name=resnet18", "--image_size=16"]
    config = resolve(parse_flags([*arguments, f"--pretrained_ckpt={folder}"]), 1)
    state, arrays = TrainState(network(), 1), random_arrays(network(), 7)
    before = state.arrays()
    start_from_pretrained(state, network(), config)
    after = state.arrays()
    for name, value in after.items():
        group, _, tensor = name.partition(":")
        if group == "momentum" or tensor.startswith("classifier"):
            np.testing.assert_array_equal(value, before[name])
        else:  # the average starts at the weights
            np.testing.assert_array_equal(value, arrays[name.replace("ema:", "parameters:")])


def test_the_content_and_not_the_place_is_part_of_the_run(folder, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    (folder / "checkpoint_00000007.npz").rename(moved / "checkpoint_00000009.npz")
    hashes = [
        resolve(parse_flags(["--dataset=digits", f"--pretrained_ckpt={path}"]), 1).record()
        for path in (moved, moved / "checkpoint_00000009.npz", folder)
    ]
    assert hashes[0] == hashes[1] != hashes[2]
    assert "pretrained_ckpt" not in hashes[0]


@pytest.mark.slow
def test_training_starts_from_a_run_and_resumes_from_itself(tmp_path):
    small = ["--dataset=digits", "--image_size=16", "--network_name=wrn10-1", "--method=supervised", "--deterministic"]
    run(*small, "--max_iteration=10", f"--checkpoint_path={tmp_path / 'first'}")
    first = folder_of(tmp_path / "first")
    start = [f"--pretrained_ckpt={first}", "--pretrained_ckpt_mode=all", "--learning_rate=1e-12"]
    run(*small, *start, "--max_iteration=2", f"--checkpoint_path={tmp_path / 'second'}")
    one, other = last_checkpoint(first), last_checkpoint(folder_of(tmp_path / "second"))
    name = "parameters:stage2/block1/conv1/kernel"
    moved = np.frombuffer(one[name], np.float32) - np.frombuffer(other[name], np.float32)
    assert np.abs(moved).max() < 1e-9
    _, err = run(*small, "--pretrained_ckpt=nowhere", code=2)
    assert "nowhere is not a checkpoint" in err
