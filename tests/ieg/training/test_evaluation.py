"""Accuracies by hand: a stand-in for a network takes an image for the class that its first pixel and weights say."""

import numpy as np
import tensorflow as tf

from ieg.datasets.test_set import ImageArray
from ieg.training.evaluation import Evaluator, accuracies


class Network:
    """It has no other way than `predict`, which needs the moving averages of batch norm."""

    def predict(self, parameters, moving, images):
        mean, variance = moving["norm"]
        return tf.one_hot(tf.cast(images[:, 0, 0, 0] + parameters["shift"] + mean - variance, tf.int32), 9)


class State:
    """Stands in for TrainState."""

    def __init__(self):
        self.parameters, self.ema = {"shift": tf.Variable(0.0)}, {"shift": tf.Variable(1.0)}
        self.moving = {"norm": (tf.Variable(3.0), tf.Variable(3.0))}


def test_every_image_counts_once_by_the_weights_and_by_their_average():
    classes, labels = np.array([0, 1, 2, 3, 4, 5, 6]), np.array([1, 2, 3, 3, 4, 6, 8])
    images = np.broadcast_to(classes[:, None, None, None], (7, 2, 2, 3)).astype(np.float32)
    state = State()
    test_set = ImageArray(images, labels, normalize=lambda values: values)
    # batches of 4: one image of zeros fills up the last, and to the weights it is of class 0
    evaluator = Evaluator(tf.distribute.get_strategy(), Network(), test_set, 4)
    assert accuracies({"": evaluator}, state, True) == {"acc/eval": 2 / 7, "acc/ema_eval": 4 / 7}
    assert accuracies({"own": evaluator}, state, False) == {"acc/eval_own": 2 / 7}
