"""From a configuration to the parts of a run: no flag stays behind."""

import numpy as np
import pytest
import tensorflow as tf

from ieg.experiment import build, make_network
from ieg.settings.config import resolve
from ieg.settings.flags import parse_flags

SMALL = ["--dataset=digits_uniform_0.4", "--image_size=8", "--network_name=wrn10-1", "--probe_dataset_hold_ratio=0.014",
         "--batch_size=100", "--momentum=0.8", "--meta_momentum=0.7", "--weight_decay=0.003",
         "--val_batch_size=50"]  # fmt: skip
QUEUE = ["--queue_capacity=200", "--queue_bs=50", "--queue_beta=0.6", "--meta_start_epoch=3",
         "--meta_moving_end_epoch=7", "--moving_weight_gamma=0.2", "--use_pseudo_loss=all_2_0.3_4"]  # fmt: skip


def resolved(*words):
    return resolve(parse_flags([*SMALL, *words]), 1)


@pytest.mark.parametrize(("method", "ema_first"), [("supervised", True), ("l2r", True), ("fsr", True), ("ieg", False)])
def test_the_step_has_the_momentum_and_the_order_of_its_method(method, ema_first):
    step = build(resolved(f"--method={method}", *QUEUE), tf.distribute.get_strategy()).step
    for name, average in step.state.ema.items():
        np.testing.assert_array_equal(average, step.state.parameters[name])
    assert (step.momentum, step.ema_first, step.network.l2) == (0.8, ema_first, 0.003)
    assert (step.settings.meta_momentum, step.state.memory is not None) == (0.7, method == "fsr")


def test_the_queue_of_fsr_counts_examples_of_a_class():
    run = build(resolved("--method=fsr", *QUEUE, "--seed=9"), tf.distribute.get_strategy())
    found = run.step.state.memory.settings
    assert (found.capacity, found.batch_size, found.beta, found.moving_weight_gamma) == (20, 5, 0.6, 0.2)
    assert (found.meta_start_epoch, found.meta_moving_end_epoch, found.steps_per_epoch) == (3, 7, 14)
    assert (found.global_batch, found.seed, found.pseudo_loss) == (100, 9, run.step.settings.pseudo_loss)
    assert run.evaluators[""].batch_size == 50


@pytest.mark.parametrize(
    ("name", "l2", "momentum"),
    [("wrn10-1", 0.003, 0.9), ("resnet18", 0.003, 0.9), ("resnet29", 2e-4, 0.9), ("resnet50", 0.002, 0.997)],
)
def test_weight_decay_of_each_network_and_memory_of_its_batch_norms(name, l2, momentum):
    network = make_network(resolved(f"--network_name={name}", "--l2_weight_decay=0.002"))
    assert (network.l2, network.momentum) == (l2, momentum)
