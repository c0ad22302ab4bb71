"""Which wrong class each example looks most like: softmax of a network, averaged over its training on clean labels.

Noise against noise, Sec. 5 (instance-dependent noise): examples that the network is least sure of get wrong labels.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from common.stopping import stop_signals
from re_sln.config import Config
from re_sln.errors import Interrupted
from re_sln.examples import Data

if TYPE_CHECKING:
    from re_sln.training import Trainer


def mean_softmax(config: Config, clean: Data, build: Callable[[Config, Data], Trainer]) -> np.ndarray:
    """float64 [N, C], rows summing to 1: the mean over epochs of the softmax on the training images, uncropped.

    The network is the run's, trained with plain cross-entropy for --dependent_epochs epochs on the clean labels.
    Raises: Interrupted.
    """
    epochs = config.flags.dependent_epochs
    logging.info("instance-dependent noise: training a network on the clean labels for %d epochs", epochs)
    flags = dataclasses.replace(config.flags, n_epochs=epochs, mo=False, lc_n_epoch=-1, p=0.0, sigma=0.0)
    plain = dataclasses.replace(config, flags=flags, model="ce", sigma=0.0)
    total = np.zeros((len(clean.given), clean.num_classes))

    def score(trainer: Trainer, _values: dict[str, float]) -> None:
        everything = np.arange(len(clean.given))
        logits = trainer.logits(trainer.train_images, everything, None, config.task.score_batch)
        total[:] += logits.double().softmax(dim=1).cpu().numpy()

    with stop_signals() as stopped:
        try:
            build(plain, clean).train(stopped, lambda _trainer: None, score, float("inf"))
        except Interrupted as stop:
            raise Interrupted(
                "stopped while custom dependent noise was made; the same command begins with that again"
            ) from stop
    return total / epochs
