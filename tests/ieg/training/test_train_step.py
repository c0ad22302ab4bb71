from types import SimpleNamespace

import tensorflow as tf

from ieg.training.train_step import TrainStep


def test_batch_norms_averages_move_with_the_momentum_of_their_network():
    mean, variance = tf.Variable([4.0]), tf.Variable([1.0])
    state = SimpleNamespace(memory=None, parameters={}, moving={"norm": (mean, variance)})
    strategy, network = tf.distribute.get_strategy(), SimpleNamespace(momentum=0.75)
    step = TrainStep(strategy, network, None, None, state, momentum=0.9, ema_first=True)
    step.update(strategy, {}, {"norm": (tf.constant([8.0]), tf.constant([3.0]))}, 0.1, 0.5, None)
    assert mean.numpy() == 0.75 * 4 + 0.25 * 8 and variance.numpy() == 0.75 * 1 + 0.25 * 3
